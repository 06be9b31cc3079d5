/**
 * An instance attests again with other facts: tags, a zone, a role. The newer facts apply to its credentials, on
 * every replica and whatever was cached.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Svid, newRequest, renew, selfOf, svidOf } from '../support/svid.ts'

let purser: TestPurser
let replica: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  replica = await startReplica(purser, { tls: true })
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

type Instance = Svid & { token: string; instance: string }
let count = 0

/** Attests as an instance with this tag. */
async function attest(tag: string, instance = `instance-${count++}`, at = purser, more: object = {}): Promise<Answer> {
  const token = await issuer.token({ sub: 'vm', jti: instance, tag })
  const attestation = { proof: { kind: 'jwt', token }, x509: { csr: request.csr }, accessToken: {}, ...more }
  return at.call('POST', '/api/v1/credentials', attestation)
}
const request = newRequest()

async function arrive(tag: string, instance = `instance-${count++}`): Promise<Instance> {
  const answer = await attest(tag, instance)
  const { token } = answer.body.accessToken as { token: string }
  return { ...svidOf(answer, request), token, instance }
}
const readBy = (instance: Instance, tag: string, by: 'certificate' | 'token', at = purser): Promise<Answer> =>
  at.call(
    'GET',
    `/api/v1/secrets/tags/${tag}/key`,
    undefined,
    by === 'token' ? { token: instance.token } : { client: instance },
  )
const tagOf = async (instance: Instance): Promise<unknown> =>
  ((await selfOf(purser, instance)).body.selectors as Record<string, unknown> | undefined)?.['oidc:tag']

describe('an instance that attests with changed facts and is still the same workload', () => {
  it('continues its session with the newer facts', async () => {
    const pod = await arrive('blue')
    expect(await tagOf(pod)).toBe('blue')
    expect(svidOf(await attest('green', pod.instance), request).session).toBe(pod.session)
    expect(await tagOf(pod)).toBe('green')
  })

  it.each(['certificate', 'token'] as const)('reads exactly what they grant by its %s, at each replica', async (by) => {
    const pod = await arrive('blue')
    for (const at of [purser, replica]) {
      expect(fault(await readBy(pod, 'blue', by, at))).toBe('200 ')
      expect(fault(await readBy(pod, 'green', by, at))).toBe('403 not_granted /path/path')
    }
    await attest('green', pod.instance)
    for (const at of [purser, replica]) {
      expect(fault(await readBy(pod, 'green', by, at))).toBe('200 ')
      expect(fault(await readBy(pod, 'blue', by, at))).toBe('403 not_granted /path/path')
    }
    await attest('blue', pod.instance)
    for (const at of [purser, replica]) {
      expect(fault(await readBy(pod, 'green', by, at))).toBe('403 not_granted /path/path')
      expect(fault(await readBy(pod, 'blue', by, at))).toBe('200 ')
    }
  })

  it('renews with the newer facts', async () => {
    const pod = await arrive('blue')
    await attest('green', pod.instance)
    const { body } = await renew(replica, pod, { jwts: [{ audience: ['payments'] }] })
    const [{ token } = { token: '' }] = body.jwts as { token: string }[]
    expect(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())).toMatchObject({ tag: 'green' })
    expect(await tagOf(pod)).toBe('green')
  })
})

describe('an instance that attests with changed facts and is no longer the same workload', () => {
  it('becomes another workload, and its earlier credentials are refused', async () => {
    const pod = await arrive('blue')
    expect(fault(await readBy(pod, 'blue', 'token', replica))).toBe('200 ')
    const next = await attest('other', pod.instance)
    expect(next.body.spiffeId).toBe('spiffe://example.org/lab/other')
    expect((await selfOf(purser, pod)).status).toBe(401)
    for (const at of [purser, replica]) {
      expect(fault(await readBy(pod, 'blue', 'token', at))).toBe('401 unauthenticated')
      expect(fault(await readBy(pod, 'blue', 'certificate', at))).toBe('401 unauthenticated')
    }
    expect(fault(await renew(purser, pod, {}))).toBe('401 attestation_failed')
  })

  it('matches no entry: its session ends, and the log has the reason', async () => {
    const pod = await arrive('blue')
    expect(fault(await readBy(pod, 'blue', 'token', replica))).toBe('200 ')
    const refused = await attest('unknown', pod.instance)
    expect(fault(refused)).toBe('401 attestation_failed')
    expect((await selfOf(purser, pod)).status).toBe(401)
    expect(fault(await readBy(pod, 'blue', 'token', replica))).toBe('401 unauthenticated')
    const entries = (await readLog(purser)).filter(({ resource }) => resource?.id === pod.session)
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
    const pod = await arrive('blue')
    const refused = await attest(tag, pod.instance, purser, more)
    expect(refused.status).toBeGreaterThanOrEqual(400)
    expect((await selfOf(purser, pod)).status).toBe(401)
    expect(fault(await readBy(pod, 'blue', 'token', replica))).toBe('401 unauthenticated')
    expect((await readLog(purser)).filter(({ resource }) => resource?.id === pod.session)).toMatchObject([
      { action: 'session.end' },
    ])
  })

  it('keeps its session if the newer facts still match and another entry was named by mistake', async () => {
    const pod = await arrive('blue')
    expect((await attest('green', pod.instance, purser, { workload: 'none' })).status).toBe(401)
    expect((await selfOf(purser, pod)).status).toBe(200)
  })

  it('does not disturb another instance', async () => {
    const [pod, other] = [await arrive('blue'), await arrive('blue')]
    await attest('unknown', pod.instance)
    expect((await selfOf(purser, other)).status).toBe(200)
  })
})
