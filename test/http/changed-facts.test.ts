/**
 * An instance attests again, and its orchestrator says other things of it than before: tags, a zone, a role. What it holds
 * counts by the newer facts, on every replica and whatever was looked up lately.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { type Svid, newRequest, renew, selfOf, svidOf } from '../support/svid.ts'

let purser: TestPurser
let replica: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  const { database, rootKey } = purser.config
  if (database.kind !== 'postgres' || rootKey.kind !== 'value') throw new Error('no Postgres')
  const again = { url: database.url.reveal(), rootKey: rootKey.value.reveal(), admin: purser.admin }
  replica = await startPurser({ again, tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await workload('tagged', { 'oidc:tag': ['blue', 'green'] }, 'spiffe://example.org/lab/tagged')
  await workload('other', { 'oidc:tag': 'other' }, 'spiffe://example.org/lab/other')
  await workload('retired', { 'oidc:tag': 'retired' }, 'spiffe://example.org/lab/retired')
  await purser.asAdmin('POST', '/api/v1/workloads/retired:disable')
  for (const name of ['twin-a', 'twin-b'])
    await workload(name, { 'oidc:tag': 'twin' }, `spiffe://example.org/lab/${name}`)
  for (const path of ['tags/blue/key', 'tags/green/key']) {
    await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { value: path } }, { 'if-match': '"0"' })
  }
})
afterAll(async () => {
  await replica?.stop()
  await purser.stop()
})

const workload = (name: string, match: object, spiffeId: string) =>
  purser.asAdmin('POST', '/api/v1/workloads', {
    name,
    attestor: 'lab',
    match,
    spiffeId,
    grants: {
      x509: {},
      jwt: { audiences: [{ audience: 'payments', claims: { tag: '{oidc:tag}' } }] },
      secrets: [{ paths: ['tags/{oidc:tag}/*'], actions: ['read'] }],
    },
    maxSessionSeconds: 7200,
  })

type Held = Svid & { token: string; instance: string }
let count = 0

/** Attests as an instance, of which the orchestrator says that tag. */
async function attest(tag: string, instance = `instance-${count++}`, at = purser, more: object = {}): Promise<Answer> {
  const token = await issuer.token({ sub: 'vm', jti: instance, tag })
  const wanted = { proof: { kind: 'jwt', token }, x509: { csr: request.csr }, accessToken: {}, ...more }
  return at.call('POST', '/api/v1/credentials', wanted)
}
const request = newRequest()

async function arrive(tag: string, instance = `instance-${count++}`): Promise<Held> {
  const answer = await attest(tag, instance)
  const { token } = answer.body.accessToken as { token: string }
  return { ...svidOf(answer, request), token, instance }
}
const readBy = (held: Held, tag: string, by: 'certificate' | 'token', at = purser): Promise<Answer> =>
  at.call(
    'GET',
    `/api/v1/secrets/tags/${tag}/key`,
    undefined,
    by === 'token' ? { token: held.token } : { client: held },
  )
const tagOf = async (held: Held): Promise<unknown> =>
  ((await selfOf(purser, held)).body.selectors as Record<string, unknown> | undefined)?.['oidc:tag']

describe('an instance that attests with changed facts and is still the same workload', () => {
  it('continues its session with the newer facts', async () => {
    const held = await arrive('blue')
    expect(await tagOf(held)).toBe('blue')
    expect(svidOf(await attest('green', held.instance), request).session).toBe(held.session)
    expect(await tagOf(held)).toBe('green')
  })

  it.each(['certificate', 'token'] as const)(
    'reads what they grant by its %s, at each replica, and no more',
    async (by) => {
      const held = await arrive('blue')
      for (const at of [purser, replica]) {
        expect(fault(await readBy(held, 'blue', by, at))).toBe('200 ')
        expect(fault(await readBy(held, 'green', by, at))).toBe('403 not_granted /path/path')
      }
      await attest('green', held.instance)
      for (const at of [purser, replica]) {
        expect(fault(await readBy(held, 'green', by, at))).toBe('200 ')
        expect(fault(await readBy(held, 'blue', by, at))).toBe('403 not_granted /path/path')
      }
      await attest('blue', held.instance)
      for (const at of [purser, replica]) {
        expect(fault(await readBy(held, 'green', by, at))).toBe('403 not_granted /path/path')
        expect(fault(await readBy(held, 'blue', by, at))).toBe('200 ')
      }
    },
  )

  it('renews with the newer facts', async () => {
    const held = await arrive('blue')
    await attest('green', held.instance)
    const { body } = await renew(replica, held, { jwts: [{ audience: ['payments'] }] })
    const [{ token } = { token: '' }] = body.jwts as { token: string }[]
    expect(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())).toMatchObject({ tag: 'green' })
    expect(await tagOf(held)).toBe('green')
  })
})

describe('an instance that attests with changed facts and is no longer the same workload', () => {
  it('becomes another workload, and its earlier credentials are refused', async () => {
    const held = await arrive('blue')
    expect(fault(await readBy(held, 'blue', 'token', replica))).toBe('200 ')
    const next = await attest('other', held.instance)
    expect(next.body.spiffeId).toBe('spiffe://example.org/lab/other')
    expect((await selfOf(purser, held)).status).toBe(401)
    for (const at of [purser, replica]) {
      expect(fault(await readBy(held, 'blue', 'token', at))).toBe('401 unauthenticated')
      expect(fault(await readBy(held, 'blue', 'certificate', at))).toBe('401 unauthenticated')
    }
    expect(fault(await renew(purser, held, {}))).toBe('401 attestation_failed')
  })

  it('matches no entry: its session ends, and the log says why', async () => {
    const held = await arrive('blue')
    expect(fault(await readBy(held, 'blue', 'token', replica))).toBe('200 ')
    const refused = await attest('unknown', held.instance)
    expect(fault(refused)).toBe('401 attestation_failed')
    expect((await selfOf(purser, held)).status).toBe(401)
    expect(fault(await readBy(held, 'blue', 'token', replica))).toBe('401 unauthenticated')
    const entries = (await readLog(purser)).filter(({ resource }) => resource?.id === held.session)
    expect(entries).toMatchObject([
      { action: 'session.end', actor: { kind: 'system' }, requestId: refused.headers.get('purser-request-id') },
    ])
  })

  it.each([
    ['names the entry that it was', 'unknown', { workload: 'tagged' }],
    ['names another entry', 'unknown', { workload: 'other' }],
    ['names an entry that matches it no more', 'other', { workload: 'tagged' }],
    ['matches an entry that is disabled', 'retired', {}],
    ['matches several entries', 'twin', {}],
  ])('loses its session if it is refused and %s', async (_, tag, more) => {
    const held = await arrive('blue')
    const refused = await attest(tag, held.instance, purser, more)
    expect(refused.status).toBeGreaterThanOrEqual(400)
    expect((await selfOf(purser, held)).status).toBe(401)
    expect(fault(await readBy(held, 'blue', 'token', replica))).toBe('401 unauthenticated')
    expect((await readLog(purser)).filter(({ resource }) => resource?.id === held.session)).toMatchObject([
      { action: 'session.end' },
    ])
  })

  it('keeps its session if the newer facts still match and another entry was named by mistake', async () => {
    const held = await arrive('blue')
    expect((await attest('green', held.instance, purser, { workload: 'none' })).status).toBe(401)
    expect((await selfOf(purser, held)).status).toBe(200)
  })

  it('does not disturb another instance', async () => {
    const [held, other] = [await arrive('blue'), await arrive('blue')]
    await attest('unknown', held.instance)
    expect((await selfOf(purser, other)).status).toBe(200)
  })
})
