/**
 * Single use on three replicas of one Postgres: a proof at an attestor with `singleUse`, and a use of a join token. A
 * client that lost the reply repeats the request with the same key.
 */
import { type KeyObject, generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { craft, es256 } from '../attest/tokens.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entryOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, audience, startPurser, startReplica } from '../support/purser.ts'

const env = { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000000', PURSER_LIMIT_REFUSALS_PER_MINUTE: '1000000' }
let first: TestPurser
let replicas: TestPurser[]
let issuer: Issuer

beforeAll(async () => {
  first = await startPurser({ store: 'postgres', env })
  replicas = [first, await startReplica(first, { env }), await startReplica(first, { env })]
  issuer = await createIssuer()
  await registerLab(first, issuer, { singleUse: true })
  await first.asAdmin('POST', '/api/v1/workloads', {
    name: 'agent',
    attestor: 'join',
    spiffeId: 'spiffe://example.org/join/agent',
    grants: { x509: {}, jwt: { audiences: ['payments'] } },
  })
})
afterAll(async () => {
  for (const replica of replicas.toReversed()) await replica.stop()
})

const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const at = (n: number): TestPurser => replicas[n % replicas.length] ?? first
const present = (n: number, token: string, more: Record<string, unknown>): Promise<Answer> =>
  at(n).call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token }, ...more })
const withKey = (key = newKey()): Record<string, unknown> => ({ x509: { csr: createCsr(key) } })
const good = (answers: Answer[]): Answer[] => answers.filter(({ status }) => status === 200)
const parallel = (count: number, work: (n: number) => Promise<Answer>): Promise<Answer[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => work(n)))

/** Ages the claim by a minute. */
const aMinuteLater = () =>
  first.knex('claim').update({ claimed_at: first.knex.raw(`claimed_at - interval '61 seconds'`) })

describe('a single-use proof', () => {
  it('is accepted once among 200 concurrent requests with different keys', async () => {
    const token = await issuer.token()
    const answers = await parallel(200, (n) => present(n, token, withKey()))
    expect(good(answers)).toHaveLength(1)
    expect(new Set(answers.filter(({ status }) => status !== 200).map(fault))).toEqual(
      new Set(['401 attestation_failed']),
    )
    // One refusal of a single-use proof is recorded at each replica; the others are counted.
    const ids = new Set(answers.filter(({ status }) => status !== 200).map(({ body }) => body.requestId))
    const recorded = (await readLog(first)).filter(({ requestId }) => ids.has(requestId))
    expect(recorded.length).toBeGreaterThanOrEqual(1)
    expect(recorded.length).toBeLessThanOrEqual(replicas.length)
    const actor = { attestor: 'lab', selectors: { 'oidc:sub': 'web' } }
    for (const entry of recorded) expect(entry).toMatchObject({ reason: 'proof_replayed', actor })
  })

  it('is accepted again with the same key for a minute, each time with a new entry', async () => {
    const token = await issuer.token()
    const mine = withKey()
    const answers = [await present(0, token, mine), await present(1, token, mine), await present(2, token, mine)]
    expect(answers.map(fault)).toEqual(['200 ', '200 ', '200 '])
    expect(new Set(answers.map(({ headers }) => headers.get('purser-log-index'))).size).toBe(3)
    expect(new Set(answers.map(({ body }) => (body.x509 as { serialNumber: string }).serialNumber)).size).toBe(3)
    expect(fault(await present(0, token, withKey()))).toBe('401 attestation_failed')
    await aMinuteLater()
    expect(fault(await present(1, token, mine))).toBe('401 attestation_failed')
  })

  it('cannot be repeated without a key, or with a key that the server generates', async () => {
    for (const more of [{}, { jwts: [{ audience: ['payments'] }] }, { accessToken: {} }, { x509: { generateKey: 'EC-P256' } }]) {
      const token = await issuer.token()
      expect(fault(await present(0, token, more))).toBe('200 ')
      expect(fault(await present(1, token, more))).toBe('401 attestation_failed')
    }
  }) // prettier-ignore

  it('is recognized in another encoding', async () => {
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: issuer.issuer, aud: audience, sub: 'web', iat: now, exp: now + 600, jti: 'the-one' }
    const make = (more: Record<string, unknown> = {}) =>
      craft({ alg: 'ES256', kid: 'k1' }, { ...claims, ...more }, es256(issuer.privateKey))
    expect(fault(await present(0, make(), withKey()))).toBe('200 ')
    // ECDSA signs with a random number, so this is another signature of the same claims.
    for (const token of [make(), make({ extra: 1 })]) {
      expect(fault(await present(1, token, withKey()))).toBe('401 attestation_failed')
    }
    // An issuer's ids are compared as a whole: this one is new.
    expect(fault(await present(2, make({ jti: 'The-One' }), withKey()))).toBe('200 ')
  })

  it('is not spent by a request that is refused for another reason', async () => {
    const token = await issuer.token()
    const request = { ...withKey(), jwts: [{ audience: ['nobody'] }] }
    expect(fault(await present(0, token, request))).toBe('403 not_granted /jwts/0/audience/0')
    expect(fault(await present(0, token, withKey()))).toBe('200 ')
  })
})

describe('a join token', () => {
  const make = async (uses = 1): Promise<string> => {
    const { body } = await first.asAdmin('POST', '/api/v1/join-tokens', {
      workload: 'agent',
      lifetimeSeconds: 600,
      uses,
    })
    return String(body.token)
  }
  const redeem = (n: number, token: string, more: Record<string, unknown> = withKey()): Promise<Answer> =>
    at(n).call('POST', '/api/v1/credentials', { proof: { kind: 'join-token', token }, ...more })

  it('is accepted once among 200 concurrent requests at three replicas', async () => {
    const token = await make()
    const answers = await parallel(200, (n) => redeem(n, token))
    expect(good(answers)).toHaveLength(1)
    expect(good(answers)[0]?.body.spiffeId).toBe('spiffe://example.org/join/agent')
    const refused = answers.filter(({ status }) => status !== 200)
    // They run one after another, so on a busy machine the last ones get a Retry-After.
    expect(refused.every((answer) => ['401 attestation_failed', '503 log_unavailable'].includes(fault(answer)))).toBe(
      true,
    )
    const refusal = refused.find(({ status }) => status === 401)
    expect(refusal && (await entryOf(first, refusal))?.reason).toBe('join_token')
    expect(await first.knex('join_token').where({ uses_left: 0 }).count()).not.toEqual([{ count: '0' }])
  })

  it('with seven uses is accepted seven times among 60 concurrent requests', async () => {
    const token = await make(7)
    const answers = good(await parallel(60, (n) => redeem(n, token)))
    expect(answers).toHaveLength(7)
    // Each use is an instance of its own.
    expect(new Set(answers.map(({ body }) => (body.session as { id: string }).id)).size).toBe(7)
  })

  it('is accepted again with the same key for a minute, without a second use and with the same session', async () => {
    const token = await make(2)
    const key = newKey()
    const answers = [await redeem(0, token, withKey(key)), await redeem(1, token, withKey(key)), await redeem(2, token, withKey(key))] // prettier-ignore
    expect(answers.map(fault)).toEqual(['200 ', '200 ', '200 '])
    expect(new Set(answers.map(({ body }) => (body.session as { id: string }).id)).size).toBe(1)
    expect(fault(await redeem(0, token))).toBe('200 ')
    expect(fault(await redeem(0, token))).toBe('401 attestation_failed')
    expect(fault(await redeem(1, token, withKey(key)))).toBe('200 ')
    await aMinuteLater()
    expect(fault(await redeem(2, token, withKey(key)))).toBe('401 attestation_failed')
  })

  it('is used once for 40 concurrent requests with one key', async () => {
    const token = await make(2)
    const mine = withKey()
    expect(good(await parallel(40, (n) => redeem(n, token, mine)))).toHaveLength(40)
    expect(fault(await redeem(0, token))).toBe('200 ')
    expect(fault(await redeem(0, token))).toBe('401 attestation_failed')
  })

  it('is refused without a key, because a reader of the reply could use it again', async () => {
    const token = await make()
    for (const more of [{}, { jwts: [{ audience: ['payments'] }] }, { accessToken: {} }]) {
      expect(fault(await redeem(0, token, more))).toBe('400 invalid_request /x509')
    }
    expect(fault(await redeem(0, token, { x509: { generateKey: 'EC-P256' }, jwts: [{ audience: ['payments'] }] }))).toBe('200 ') // prettier-ignore
    expect(fault(await redeem(0, token, { x509: { generateKey: 'EC-P256' } }))).toBe('401 attestation_failed')
  })

  it('is not spent by a request that is refused for another reason', async () => {
    const token = await make()
    const bad = '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'
    for (const more of [{ x509: { csr: bad } }, { ...withKey(), jwts: [{ audience: ['nobody'] }] }]) {
      expect((await redeem(0, token, more)).status).toBeGreaterThan(399)
    }
    expect(fault(await redeem(0, token))).toBe('200 ')
  })

  it('is accepted only as a whole, and is stored only as a hash', async () => {
    const token = await make()
    const others = [token.slice(0, -1), `${token}A`, token.replace('join', 'api'), `purser_join_${'A'.repeat(43)}`]
    for (const other of others) expect([400, 401]).toContain((await redeem(0, other)).status)
    const records = JSON.stringify([
      await readLog(first),
      replicas.map(({ logs }) => logs),
      await first.knex('join_token'),
    ])
    expect(records).not.toContain(token)
    expect(records).not.toContain(token.slice('purser_join_'.length))
  })
})
