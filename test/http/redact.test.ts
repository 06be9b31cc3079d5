import { generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { verifyExport, verifyReceipt } from '@purser/sdk/verify'
import type { Receipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ageEntries } from '../support/age-entries.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'
import { validateReply } from '../support/replies.ts'

describe.each(frontDoorStores)('POST /api/v1/log:redact (%s)', (store) => {
  let purser: TestPurser
  let issuer: Issuer
  let ahead = 0
  const receipts: Receipt[] = []
  let from: number
  let to: number

  const redact = (body: object): Promise<Answer> =>
    purser.call('POST', '/api/v1/log:redact', body, { token: purser.admin })
  const exported = async (query = ''): Promise<string[]> =>
    (await purser.asAdmin('GET', `/api/v1/audit/export${query}`)).text.split('\n')

  beforeAll(async () => {
    purser = await startPurser({ store, now: () => new Date(Date.now() + ahead) })
    issuer = await createIssuer()
    await registerLab(purser, issuer)
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    for (let n = 0; n < 8; n++) {
      // A change of policy in the middle of the redacted range.
      if (n === 2) await purser.asAdmin('PUT', '/api/v1/secrets/prod/other', { data: { n } }, { 'if-match': '"0"' })
      const proof = { kind: 'jwt', token: await issuer.token() }
      const answer = await purser.call('POST', '/api/v1/credentials', { proof, x509: { csr: createCsr(privateKey) } })
      receipts.push(answer.body.receipt as Receipt)
    }
    from = receipts[0]?.index ?? 0
    to = from + 9
  })
  afterAll(() => purser.stop())

  it('refuses impossible ranges', async () => {
    const rule = 'a year'
    const say = async (body: object) => {
      const answer = await redact(body)
      return `${answer.status} ${answer.body.code}`
    }
    expect(await say({ epoch: 1, from: 5, to: 5, rule })).toBe('422 impossible')
    expect(await say({ epoch: 1, from: 0, to: 5001, rule })).toBe('422 impossible')
    expect(await say({ epoch: 1, from, to })).toBe('400 invalid_request')
    expect(await say({ epoch: 1, from, to, rule: 'a\nb' })).toBe('400 invalid_request')
    expect(await say({ epoch: 1, from: to, to: to + 1000, rule })).toBe('404 not_found')
    expect(await say({ epoch: 2, from: 0, to: 1, rule })).toBe('404 not_found')
    expect((await purser.call('POST', '/api/v1/log:redact', { epoch: 1, from, to, rule })).status).toBe(401)
  })

  it('removes nothing while a credential in the range is live', async () => {
    const answer = await redact({ epoch: 1, from, to, rule: 'a year' })
    expect([answer.status, answer.body.code]).toEqual([409, 'in_use'])
    expect((await purser.asAdmin('GET', `/api/v1/audit/entries/1/${from}`)).body.entry).toBeDefined()
  })

  it('removes nothing younger than the minimum age', async () => {
    ahead = 2 * 3600_000
    const answer = await redact({ epoch: 1, from, to, rule: 'a year' })
    expect([answer.status, answer.body.code]).toEqual([409, 'conflict'])
    expect(answer.body['detail']).toContain('PURSER_MIN_REDACTION_AGE_SECONDS')
    await ageEntries(purser.knex, 29)
    expect((await redact({ epoch: 1, from, to, rule: 'a year' })).body.code).toBe('conflict')
    expect((await purser.asAdmin('GET', `/api/v1/audit/entries/1/${from}`)).body.entry).toBeDefined()
    await ageEntries(purser.knex, 1)
  })

  it('removes text, nonce and terms, and records it', async () => {
    const { body, status } = await redact({ epoch: 1, from, to: from + 6, rule: 'a month is enough' })
    expect(body).toEqual({ epoch: 1, from, to: from + 6, redacted: 5 })
    expect(validateReply('redactEntries', status, body)).toEqual([])

    const { body: redacted } = await purser.asAdmin('GET', `/api/v1/audit/entries/1/${from}`)
    expect(Object.keys(redacted).sort()).toEqual(['commitment', 'epoch', 'index', 'proof'])
    const { body: list } = await purser.asAdmin('GET', `/api/v1/audit/entries?order=asc&fromIndex=${from}&limit=7`)
    const redactedItem = (n: number) => ({ epoch: 1, index: from + n, redacted: true })
    expect(list.items).toMatchObject([
      redactedItem(0),
      redactedItem(1),
      { index: from + 2, entry: { action: 'secret.put' } },
      redactedItem(3),
      redactedItem(4),
      redactedItem(5),
      { index: from + 6, entry: { action: 'credentials.issue' } },
    ])
    expect(list.redacted).toBe(5)
    const { body: search } = await purser.asAdmin('GET', '/api/v1/audit/entries?workload=web&action=credentials.issue')
    expect([search.items, search.redacted]).toMatchObject([
      [{ index: to - 1 }, { index: to - 2 }, { index: to - 3 }],
      5,
    ])
    const { body: own } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=log.redact&outcome=granted')
    expect(own.items).toMatchObject([
      {
        entry: {
          actor: { operator: 'admin' },
          detail: {
            epoch: 1,
            from,
            to: from + 6,
            rule: 'a month is enough',
            redacted: 5,
            runs: [
              [from, from + 2],
              [from + 3, from + 6],
            ],
          },
        },
      },
    ])
  })

  it('keeps entries of consumers of a version that has not ended', async () => {
    const put = (version: number) =>
      purser.asAdmin('PUT', '/api/v1/secrets/prod/db', { data: { n: version } }, { 'if-match': `"${version}"` })
    await put(0)
    const path = '/api/v1/secrets/prod/db'
    const { headers } = await purser.asAdmin('GET', path, undefined, { 'purser-reason': 'test' })
    const [, index] = (headers.get('purser-log-index') ?? '').split('/').map(Number)
    const take = () => redact({ epoch: 1, from: index, to: Number(index) + 1, rule: 'a year' })
    ahead += 3 * 3600_000
    await ageEntries(purser.knex, 31)
    expect((await take()).body.code).toBe('in_use')
    await put(1)
    expect((await take()).body['detail']).toContain('a version of a secret')
    await purser.asAdmin('POST', `${path}:destroy`, { versions: [1] })
    expect((await take()).body['redacted']).toBe(1)
  })

  it('leaves a log, receipts and exports that verify', async () => {
    const { vkeys } = purser
    for (const receipt of receipts) verifyReceipt(receipt, { vkeys })
    const report = await verifyExport(await exported(), { vkeys, receipts })
    expect([report.problems, report.redacted]).toEqual([[], 6])
    expect(report.proved.join('\n')).toContain('each of the 6 redacted entries is covered')
    // When the covering entry lies outside the export's range, the export includes it with its proof.
    const part = await verifyExport(await exported(`?from=${from + 3}&to=${from + 5}`), { vkeys })
    expect([part.problems, part.redacted]).toEqual([[], 2])
  })

  it('removes an entry once, and never one about policy, keys or revocations', async () => {
    await purser.asAdmin('POST', '/api/v1/revocations', { spiffeId: 'spiffe://example.org/lab/web' })
    ahead += 25 * 3600_000
    await ageEntries(purser.knex, 31)
    expect((await redact({ epoch: 1, from, to: from + 6, rule: 'again' })).body.code).toBe('conflict')
    const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?order=asc&outcome=granted&limit=200')
    const stay = (body.items as { index: number; entry?: { action: string } }[])
      .filter(({ entry }) =>
        /^(?:log|key|attestor|workload|revocation|secret\.put|bootstrap)\b/.test(entry?.action ?? ''),
      )
      .map(({ index }) => index)
    expect(stay.length).toBeGreaterThan(6)
    for (const index of stay) {
      const answer = await redact({ epoch: 1, from: index, to: index + 1, rule: 'all of it' })
      expect([index, answer.body.code]).toEqual([index, 'conflict'])
    }
  })

  /** What an owner of the tables can do with SQL. */
  const asOwner = (sql: string): Promise<unknown> =>
    purser.knex.transaction(async (tx) => {
      await tx.raw('alter table log_entry disable trigger all')
      await tx.raw('alter table log_redaction disable trigger all')
      await tx.raw(sql)
      await tx.raw('alter table log_redaction enable trigger all')
      await tx.raw('alter table log_entry enable trigger all')
    })
  const empty = (index: number) =>
    `update log_entry set body = null, nonce = null, terms = '{}' where epoch = 1 and idx = ${index}`

  it('shows by its index a text that the owner of the tables removed inside a redacted range', async () => {
    await asOwner(empty(from + 2))
    const report = await verifyExport(await exported(), { vkeys: purser.vkeys })
    expect(report.problems).toMatchObject([{ code: 'redaction_not_covered', epoch: 1, index: from + 2 }])
    expect(report.proved.join('\n')).not.toContain('covered by a redaction entry')
    // A row of the database with that claim is not an entry of the log.
    await asOwner(
      `insert into log_redaction (id, epoch, from_idx, to_idx, runs, entry_epoch, entry_idx)
       select gen_random_uuid(), epoch, ${from + 2}, ${from + 3}, int8multirange(int8range(${from + 2}, ${from + 3})), entry_epoch, entry_idx
         from log_redaction limit 1`,
    )
    const secondReport = await verifyExport(await exported(), { vkeys: purser.vkeys })
    expect(secondReport.problems).toEqual(report.problems)
  })

  it('shows by its index a text that was removed without a redaction', async () => {
    await asOwner(empty(to - 1))
    const report = await verifyExport(await exported(), { vkeys: purser.vkeys })
    expect(report.problems.map(({ code, index }) => `${code} ${index}`)).toEqual([
      `redaction_not_covered ${from + 2}`,
      `redaction_not_covered ${to - 1}`,
    ])
  })
})
