import { generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { verifyExport, verifyReceipt } from '@purser/sdk/verify'
import type { Receipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

describe.each(['embedded', 'postgres'] as const)('POST /api/v1/log:redact (%s)', (store) => {
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
      const proof = { kind: 'jwt', token: await issuer.token() }
      const answer = await purser.call('POST', '/api/v1/credentials', { proof, x509: { csr: createCsr(privateKey) } })
      receipts.push(answer.body.receipt as Receipt)
    }
    from = receipts[0]?.index ?? 0
    to = from + 8
  })
  afterAll(() => purser.stop())

  it('refuses what can not be', async () => {
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

  it('takes nothing while a credential in the range lives', async () => {
    const answer = await redact({ epoch: 1, from, to, rule: 'a year' })
    expect([answer.status, answer.body.code]).toEqual([409, 'in_use'])
    expect((await purser.asAdmin('GET', `/api/v1/audit/entries/1/${from}`)).body.entry).toBeDefined()
  })

  it('takes text, nonce and terms, and says so', async () => {
    ahead = 2 * 3600_000
    const { body, status } = await redact({ epoch: 1, from, to: from + 5, rule: 'two hours are enough' })
    expect(body).toEqual({ epoch: 1, from, to: from + 5, redacted: 5 })
    const operation = loadOpenApi().operations.find((one) => one.operationId === 'redactEntries')
    expect(operation?.validateReply(status, body)).toEqual([])

    const { body: one } = await purser.asAdmin('GET', `/api/v1/audit/entries/1/${from}`)
    expect(Object.keys(one).sort()).toEqual(['commitment', 'epoch', 'index', 'proof'])
    const { body: list } = await purser.asAdmin('GET', `/api/v1/audit/entries?order=asc&fromIndex=${from}&limit=6`)
    expect(list.items).toMatchObject([
      ...[0, 1, 2, 3, 4].map((n) => ({ epoch: 1, index: from + n, redacted: true })),
      { index: from + 5, entry: { action: 'credentials.issue' } },
    ])
    expect(list.redacted).toBe(5)
    const { body: found } = await purser.asAdmin('GET', '/api/v1/audit/entries?workload=web&action=credentials.issue')
    expect([found.items, found.redacted]).toMatchObject([[{ index: to - 1 }, { index: to - 2 }, { index: to - 3 }], 5])
    const { body: own } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=log.redact&outcome=granted')
    expect(own.items).toMatchObject([
      {
        entry: { actor: { operator: 'admin' }, detail: { epoch: 1, from, to: from + 5, rule: 'two hours are enough' } },
      },
    ])
  })

  it('takes nothing of who was given a version of a secret that has not ended', async () => {
    const put = (version: number) =>
      purser.asAdmin('PUT', '/api/v1/secrets/prod/db', { data: { n: version } }, { 'if-match': `"${version}"` })
    await put(0)
    const path = '/api/v1/secrets/prod/db'
    const { headers } = await purser.asAdmin('GET', path, undefined, { 'purser-reason': 'test' })
    const [, index] = (headers.get('purser-log-index') ?? '').split('/').map(Number)
    const take = () => redact({ epoch: 1, from: index, to: Number(index) + 1, rule: 'a year' })
    ahead += 3 * 3600_000
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
    // Where the entry that covers it lies outside of the export's range, it comes along with its proof.
    const part = await verifyExport(await exported(`?from=${from + 1}&to=${from + 3}`), { vkeys })
    expect([part.problems, part.redacted]).toEqual([[], 2])
  })

  it('takes an entry once, and never what tells how things came to be as they are', async () => {
    expect((await redact({ epoch: 1, from, to: from + 5, rule: 'again' })).body.code).toBe('conflict')
    const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?order=asc&outcome=granted&limit=200')
    const stay = (body.items as { index: number; entry?: { action: string } }[])
      .filter(({ entry }) => /^(?:log|key|attestor|workload)\./.test(entry?.action ?? ''))
      .map(({ index }) => index)
    expect(stay.length).toBeGreaterThan(6)
    for (const index of stay) {
      const answer = await redact({ epoch: 1, from: index, to: index + 1, rule: 'all of it' })
      expect([index, answer.body.code]).toEqual([index, 'conflict'])
    }
  })

  it('says of a redaction that nobody recorded that it is none', async () => {
    await purser.knex.transaction(async (tx) => {
      await tx.raw('set local session_replication_role = replica')
      await tx('log_entry')
        .where({ idx: to - 1 })
        .update({ body: null, nonce: null })
    })
    const report = await verifyExport(await exported(), { vkeys: purser.vkeys })
    expect(report.problems).toMatchObject([{ code: 'redaction_not_covered', epoch: 1, index: to - 1 }])
  })
})
