import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type IssuedCredentials, type Lab, createLab } from '../support/lab.ts'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import type { Answer, TestPurser } from '../support/purser.ts'
import { startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

type Counts = { certificates: number; jwts: number; sessions: number; accessTokens: number }
const zeroCounts: Counts = { certificates: 0, jwts: 0, sessions: 0, accessTokens: 0 }

describe.each(frontDoorStores)('POST /api/v1/revocations (%s)', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let ask: Ask
  let lab: Lab

  beforeAll(async () => {
    purser = await startPurser({ store, now: clock.now })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
  })
  afterAll(() => purser.stop())

  const revoke = (body: unknown, more = {}): Promise<Answer> => ask('createRevocation', { body, ...more })
  const revoked = async (body: unknown): Promise<Answer & { counts: Counts }> => {
    const answer = await revoke(body)
    expect(fault(answer)).toBe('201 ')
    return { ...answer, counts: answer.body.revoked as Counts }
  }
  const release = async (id: unknown): Promise<void> => {
    const answer = await ask('releaseRevocation', { name: String(id), reason: 'the cause is gone' })
    expect(fault(answer)).toBe('200 ')
  }
  const isActive = async (token: string): Promise<boolean> =>
    (await ask('introspectToken', { body: { token } })).body.active === true
  const alive = async (credentials: IssuedCredentials): Promise<{ jwt: boolean; accessToken: boolean }> => ({
    jwt: await isActive(credentials.jwt),
    accessToken: await isActive(credentials.accessToken),
  })
  const both = { jwt: true, accessToken: true }
  /** Another pod of the same workload. */
  const elsewhere = (): Promise<IssuedCredentials> => lab.get({ sub: 'web', jti: undefined })

  it('requires exactly one subject, and accepts `since` only with a SPIFFE ID', async () => {
    expect(fault(await revoke({}))).toMatch(/^400 invalid_request/)
    expect(fault(await revoke({ jti: 'a', serialNumber: 'ab' }))).toMatch(/^400 invalid_request/)
    expect(fault(await revoke({ jti: 'a', since: clock.now().toISOString() }))).toMatch(/^400 invalid_request/)
    expect(fault(await revoke({ serialNumber: 'AB' }))).toBe('400 invalid_request /serialNumber')
    expect(fault(await revoke({ jti: 'a', reason: 'cACompromise' }))).toBe('400 invalid_request /reason')
  })

  it('refuses a subject that was never issued', async () => {
    for (const body of [
      { serialNumber: '01'.repeat(16) },
      { jti: 'f'.repeat(32) },
      { accessToken: 'tok_nobody' },
      { session: `ses_${'0'.repeat(32)}` },
    ]) {
      expect(fault(await revoke(body))).toBe('404 not_found')
    }
    // A SPIFFE ID may be used later, so revoking an unused one is no fault.
    expect((await revoked({ spiffeId: 'spiffe://example.org/lab/nobody' })).counts).toEqual(zeroCounts)
  })

  it('is not for workloads', async () => {
    const { accessToken, jti } = await lab.get()
    expect(fault(await revoke({ jti }, { token: accessToken }))).toBe('401 token_type')
    expect(fault(await revoke({ jti }, { token: 'purser_api_nobody' }))).toBe('401 unauthenticated')
  })

  it('revokes one JWT and nothing else', async () => {
    const credentials = await lab.get()
    const answer = await revoked({ jti: credentials.jti })
    expect(answer.counts).toEqual({ ...zeroCounts, jwts: 1 })
    expect(answer.body.outOfReach).toMatchObject([{ jwt: credentials.jti, audience: 'payments' }])
    expect(await alive(credentials)).toEqual({ jwt: false, accessToken: true })
    expect(await entryOf(purser, answer)).toMatchObject({
      action: 'revocation.create',
      revoked: { jtis: [credentials.jti] },
      change: { after: { jti: credentials.jti } },
      resource: { kind: 'revocation', id: answer.body.id },
    })
  })

  it('revokes one access token', async () => {
    const credentials = await lab.get()
    expect((await revoked({ accessToken: credentials.accessTokenId })).counts).toEqual({
      ...zeroCounts,
      accessTokens: 1,
    })
    expect(await alive(credentials)).toEqual({ jwt: true, accessToken: false })
    expect(fault(await ask('whoAmI', { token: credentials.accessToken }))).toBe('401 unauthenticated')
  })

  it('revokes one certificate', async () => {
    const credentials = await lab.get()
    const answer = await revoked({ serialNumber: credentials.serialNumber, reason: 'superseded' })
    expect(answer.counts).toEqual({ ...zeroCounts, certificates: 1 })
    expect(answer.body.outOfReach).toMatchObject([{ serialNumber: credentials.serialNumber }])
    expect(await alive(credentials)).toEqual(both)
  })

  it('counts every credential once', async () => {
    const { jti } = await lab.get()
    await revoked({ jti })
    const repeat = await revoked({ jti })
    expect([repeat.counts, repeat.body.outOfReach]).toEqual([zeroCounts, []])
  })

  it('revokes a session with all its credentials, and its instance cannot attest again', async () => {
    const instance = { sub: 'web', jti: 'one-instance' }
    const first = await lab.get(instance)
    const second = await lab.get(instance)
    const other = await lab.get({ sub: 'web', jti: 'another' })
    expect(second.session).toBe(first.session)
    const answer = await revoked({ session: first.session, reason: 'keyCompromise' })
    expect(answer.counts).toEqual({ certificates: 2, jwts: 2, sessions: 1, accessTokens: 2 })
    for (const credentials of [first, second])
      expect(await alive(credentials)).toEqual({ jwt: false, accessToken: false })
    expect(await alive(other)).toEqual(both)
    expect((await lab.ask(instance)).body.code).toBe('attestation_failed')
    const reasons = (await readLog(purser)).map((entry) => entry.reason)
    expect(reasons.at(-1)).toBe('blocked')
    // Auditors find it by each of its names.
    const search = await ask('searchEntries', { query: { serialNumber: first.serialNumber } })
    expect((search.body.items as { entry: { action: string } }[]).map((item) => item.entry.action)).toContain(
      'revocation.create',
    )
  })

  it('includes credentials that the session is issued meanwhile', async () => {
    const instance = { jti: 'busy' }
    const { session } = await lab.get(instance)
    const issued: IssuedCredentials[] = []
    const done = new AbortController()
    const asking = Array.from({ length: 8 }, async () => {
      while (!done.signal.aborted) {
        const credentials = await lab.get(instance).catch(() => undefined)
        if (!credentials) return
        issued.push(credentials)
      }
    })
    await expect.poll(() => issued.length).toBeGreaterThan(8)
    await revoked({ session })
    done.abort()
    await Promise.all(asking)
    const rows: { value: string }[] = await purser.knex('block').where({ kind: 'serialNumber' }).select('value')
    const blocked = new Set(rows.map((row) => row.value))
    expect(issued.filter((credentials) => !blocked.has(credentials.serialNumber))).toEqual([])
    for (const credentials of issued.slice(-8))
      expect(await alive(credentials)).toEqual({ jwt: false, accessToken: false })
    expect((await lab.ask(instance)).status).toBe(401)
  })

  it('also blocks the credentials of a session that its holder ended', async () => {
    const credentials = await lab.get({ jti: 'leaver' })
    await purser.call('DELETE', '/api/v1/credentials/self', undefined, { token: credentials.accessToken })
    const { counts } = await revoked({ session: credentials.session })
    expect(counts).toEqual({ certificates: 1, jwts: 1, sessions: 0, accessTokens: 1 })
  })

  it('revokes credentials of a SPIFFE ID since a time, until it is released', async () => {
    const before = await elsewhere()
    clock.advance(60)
    const since = clock.now().toISOString()
    const after = await elsewhere()
    const { counts, body } = await revoked({ spiffeId: 'spiffe://example.org/lab/web', since })
    expect(counts).toMatchObject({ certificates: 1, jwts: 1, accessTokens: 1 })
    expect((await lab.ask({ sub: 'web', jti: undefined })).body.code).toBe('attestation_failed')
    await release(body.id)
    expect(await alive(before)).toEqual(both)
    expect(await alive(after)).toEqual({ jwt: false, accessToken: false })
    expect(await alive(await elsewhere())).toEqual(both)
  })

  it('revokes all credentials of a SPIFFE ID', async () => {
    const all = [await elsewhere(), await elsewhere(), await lab.get({ jti: 'third' })]
    const selection = { spiffeId: 'spiffe://example.org/lab/web', reason: 'privilegeWithdrawn' }
    const { counts, body } = await revoked(selection)
    expect(counts.sessions).toBeGreaterThanOrEqual(1)
    expect(counts.certificates).toBeGreaterThanOrEqual(all.length)
    await release(body.id)
    for (const credentials of all) expect(await alive(credentials)).toEqual({ jwt: false, accessToken: false })
  })

  it('names any number of credentials, in several entries', async () => {
    const instance = { jti: 'many' }
    const jwts = Array.from({ length: 8 }, () => ({ audience: ['payments'] }))
    const { session } = await lab.get(instance)
    await Promise.all(
      Array.from({ length: 65 }, () => lab.get(instance, { jwts, x509: undefined, accessToken: undefined })),
    )
    const answer = await revoked({ session })
    expect(answer.counts).toMatchObject({ jwts: 1 + 65 * 8, certificates: 1 })
    const id = answer.headers.get('purser-request-id')
    const entries = (await readLog(purser)).filter((entry) => entry.requestId === id)
    expect(entries.map((entry) => entry.resource?.id)).toEqual([answer.body.id, answer.body.id])
    expect(new Set(entries.flatMap((entry) => entry.revoked?.jtis ?? [])).size).toBe(1 + 65 * 8)
  })

  it('ignores expired credentials', async () => {
    const credentials = await lab.get()
    clock.advance(3700)
    expect((await revoked({ jti: credentials.jti })).counts).toEqual(zeroCounts)
    expect((await revoked({ serialNumber: credentials.serialNumber })).counts).toEqual(zeroCounts)
    expect((await revoked({ accessToken: credentials.accessTokenId })).counts).toEqual(zeroCounts)
  })

  it('performs a repeated request once, and records the reason', async () => {
    const { jti } = await lab.get()
    const first = await revoke({ jti }, { idempotencyKey: 'once', reason: 'incident 7' })
    const repeat = await revoke({ jti }, { idempotencyKey: 'once' })
    expect([fault(first), fault(repeat)]).toEqual(['201 ', '409 already_done'])
    expect((await entryOf(purser, first))?.actor).toMatchObject({ operator: 'admin', note: 'incident 7' })
  })
})
