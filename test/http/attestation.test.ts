/** Refused proofs over HTTP: what a stranger sees, what the log records, and that nothing is issued. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { craft, es256, hs256, rs256 } from '../attest/tokens.ts'
import { type Identities, makeIdentities } from '../outbound/tls-server.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type KubeStandIn, startKubeStandIn } from '../support/kube-stand-in.ts'
import { entriesOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, audience, startPurser } from '../support/purser.ts'

let purser: TestPurser
let issuer: Issuer
let ids: Identities
let folder: string

const many = '1000000'
beforeAll(async () => {
  ids = makeIdentities()
  folder = await mkdtemp(join(tmpdir(), 'purser-attestation-'))
  purser = await startPurser({
    env: {
      PURSER_LIMIT_REFUSALS_PER_MINUTE: many,
      PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE: many,
      PURSER_LIMIT_ADDRESS_PER_SECOND: many,
    },
  })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(async () => {
  await purser.stop()
  await rm(folder, { recursive: true, force: true })
})

const seconds = () => Math.floor(Date.now() / 1000)
const claims = (more: Record<string, unknown> = {}) => ({
  iss: issuer.issuer,
  aud: audience,
  sub: 'web',
  iat: seconds(),
  exp: seconds() + 600,
  jti: 'x',
  ...more,
})
const present = (token: string, more: Record<string, unknown> = {}): Promise<Answer> =>
  purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token },
    x509: { generateKey: 'EC-P256' },
    jwts: [{ audience: ['payments'] }],
    accessToken: {},
    ...more,
  })
const signed = (payload: unknown, header: Record<string, unknown> = {}) =>
  craft({ alg: 'ES256', kid: 'k1', ...header }, payload, es256(issuer.privateKey))

describe('a refused proof', () => {
  const proofs: [string, () => string, string][] = [
    ['1: no algorithm', () => signed(claims(), { alg: 'none' }), 'proof_algorithm'],
    ['2: HS256 with our public key', () => craft({ alg: 'HS256', kid: 'k1' }, claims(), hs256(JSON.stringify(issuer.jwk))), 'proof_algorithm'],
    ['3: an RSA signature for an EC key', () => craft({ alg: 'RS256', kid: 'k1' }, claims(), rs256()), 'proof_key_unknown'],
    ['another’s key', () => craft({ alg: 'ES256', kid: 'k1' }, claims(), es256()), 'proof_signature'],
    ['5: iss as a list', () => signed(claims({ iss: [issuer.issuer] })), 'proof_claims'],
    ['5: an unknown issuer', () => signed(claims({ iss: 'https://nobody.example' })), 'proof_issuer'],
    ['6: no aud', () => signed(claims({ aud: undefined })), 'proof_claims'],
    ['6: an empty list as aud', () => signed(claims({ aud: [] })), 'proof_claims'],
    ['6: another audience', () => signed(claims({ aud: 'vault' })), 'proof_issuer'],
    ['6: others beside our audience', () => signed(claims({ aud: [audience, 'vault'] })), 'proof_audience'],
    ['7: no exp', () => signed(claims({ exp: undefined })), 'proof_claims'],
    ['7: exp as text', () => signed(claims({ exp: String(seconds() + 600) })), 'proof_claims'],
    ['7: exp in the year 9999', () => signed(claims({ exp: 253_402_300_799 })), 'proof_claims'],
    ['7: expired by a second', () => signed(claims({ exp: seconds() - 1, iat: seconds() - 60 })), 'proof_expired'],
    ['from tomorrow', () => signed(claims({ iat: seconds() + 86_400, exp: seconds() + 90_000 })), 'proof_not_yet_valid'],
    ['from yesterday', () => signed(claims({ iat: seconds() - 86_400 })), 'proof_too_old'],
    ['9: no sub', () => signed(claims({ sub: undefined })), 'proof_claims'],
    ['9: sub with a line end', () => signed(claims({ sub: 'web\n' })), 'proof_claims'],
    ['9: sub that is a star', () => signed(claims({ sub: '*' })), 'proof_claims'],
    ['10: sub twice', () => signed(JSON.stringify(claims()).replace('{', '{"sub":"admin",')), 'proof_malformed'],
    ['11: crit', () => signed(claims(), { crit: ['exp'] }), 'proof_header'],
    ['13: an unknown kid', () => signed(claims(), { kid: 'k2' }), 'proof_key_unknown'],
    ['an embedded key', () => signed(claims(), { jwk: issuer.jwk }), 'proof_header'],
    ['14: a JWE', () => `${signed(claims())}.AA.AA`, 'proof_malformed'],
    ['15: dots', () => '.'.repeat(16_000), 'proof_malformed'],
    ['no token at all', () => 'x', 'proof_malformed'],
    ['34: __proto__', () => signed(JSON.stringify(claims()).replace('{', '{"__proto__":{"sub":"web"},')), 'proof_malformed'],
    ['a workload without an entry', () => signed(claims({ sub: 'stranger' })), 'no_workload'],
  ] // prettier-ignore

  it.each(proofs)('%s: the same answer, the true reason in the log, and no credential', async (_, make, reason) => {
    const token = make()
    const answer = await present(token)
    const { requestId, ...problem } = answer.body
    expect(problem).toEqual({
      type: 'urn:purser:problem:attestation_failed',
      title: 'The proof was not accepted; an operator can ask purser explain with the request id',
      status: 401,
      code: 'attestation_failed',
    })
    expect(answer.status).toBe(401)
    const entries = await entriesOf(purser, requestId)
    expect(entries).toHaveLength(1)
    expect(entries[0]).toMatchObject({ action: 'credentials.issue', outcome: 'refused', reason })
    expect(entries[0]?.issued).toBeUndefined()
    if (!['proof_malformed', 'proof_issuer', 'proof_header'].includes(reason) && !/^5|^6: (no|an)/.test(_)) {
      expect(entries[0]?.actor.attestor).toBe('lab')
    }
    const [head = '', body = '', signature = ''] = token.split('.')
    const records = JSON.stringify([entries, purser.logs])
    for (const part of [head, body, signature]) if (part.length > 20) expect(records).not.toContain(part)
  })

  it('has the same reply for an unknown attestor, another attestor, and disabled or denied entries', async () => {
    await purser.asAdmin('POST', '/api/v1/workloads', { name: 'off', attestor: 'lab', match: { 'oidc:sub': 'off' }, spiffeId: 'spiffe://example.org/lab/off' }) // prettier-ignore
    await purser.asAdmin('POST', '/api/v1/workloads/off:disable')
    const answers = [
      await present(await issuer.token(), { attestor: 'nobody' }),
      await present(await issuer.token(), { attestor: 'join' }),
      await present(await issuer.token({ sub: 'off' })),
      await present(await issuer.token({ sub: 'stranger' })),
      await present(await issuer.token(), { workload: 'nobody' }),
      await purser.call('POST', '/api/v1/credentials', { proof: { kind: 'x509' } }),
    ]
    const replies = answers.map(({ body: { requestId: _, ...body }, headers }) => JSON.stringify([body, headers.get('content-type'), headers.get('cache-control')])) // prettier-ignore
    expect(new Set(replies).size).toBe(1)
  })

  it('is refused by its size if it is larger than any issuer signs', async () => {
    expect(fault(await present('a'.repeat(16_385)))).toBe('400 invalid_request /proof/token')
    expect((await present('.'.repeat(1_048_576))).status).toBe(413)
  })

  it('includes a JWT-SVID of Purser itself', async () => {
    const { body } = await present(await issuer.token())
    const [{ token }] = body.jwts as [{ token: string }]
    expect(fault(await present(token))).toBe('401 attestation_failed')
  })
})

describe('issuers that can’t be reached', () => {
  it('get 503 and Retry-After, whether they are down or internal', async () => {
    const farIssuer = await createIssuer('https://127.0.0.1:9/issuer')
    await purser.asAdmin('POST', '/api/v1/attestors', { name: 'far', kind: 'oidc', issuer: farIssuer.issuer, audience })
    const answer = await present(await farIssuer.token())
    expect(fault(answer)).toBe('503 unavailable')
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    const check = await purser.asAdmin('POST', '/api/v1/attestors/far:check')
    expect(check.body).toMatchObject({ ok: false, checks: [{ ok: false, what: 'discovery and keys' }] })
    expect(purser.logs.some((line) => line.includes('attestor.keys_unreachable') && line.includes('far'))).toBe(true)
  })
})

async function registerCluster(name: string, kube: KubeStandIn, more: Record<string, unknown> = {}) {
  const tokenFile = join(folder, `${name}-token`)
  await writeFile(tokenFile, kube.reviewer)
  await purser.asAdmin('POST', '/api/v1/attestors', {
    name,
    kind: 'kubernetes',
    issuer: kube.issuer,
    audience,
    apiServer: { url: kube.url, caPem: kube.caPem, tokenFile },
    ...more,
  })
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: `${name}-pods`,
    attestor: name,
    match: { 'k8s:ns': '*', 'k8s:sa': '*' },
    wide: true,
    spiffeId: `spiffe://example.org/${name}/ns/{k8s:ns}/sa/{k8s:sa}`,
    grants: { x509: {}, jwt: { audiences: ['payments'] } },
  })
  return tokenFile
}

async function startCluster(): Promise<KubeStandIn> {
  const kube = await startKubeStandIn({ identity: ids.good, caPem: ids.ca })
  onTestFinished(() => kube.stop())
  return kube
}

describe('clusters (stand-in API servers)', () => {
  it('a pod’s token is attested by keys and TokenReview; a restarted container continues its session', async () => {
    const kube = await startCluster()
    await registerCluster('east', kube)
    const token = kube.token()
    const [answer, two] = [await present(token), await present(token)]
    expect([answer.status, two.status]).toEqual([200, 200])
    expect(answer.body.spiffeId).toBe('spiffe://example.org/east/ns/prod/sa/web')
    expect(two.body.session).toMatchObject({ id: (answer.body.session as { id: string }).id })
    const [entry] = await entriesOf(purser, answer.headers.get('purser-request-id'))
    // The account was attested for the first time, which has an entry of its own before this one.
    expect(entry).toMatchObject({ action: 'identity.pin', resource: { kind: 'account', name: 'east/prod/web' } })
  })

  it('a token without a pod is accepted only if the entry allows it', async () => {
    const kube = await startCluster()
    await registerCluster('podless', kube)
    const token = kube.token({ pod: null, sa: 'cert-manager' })
    expect(fault(await present(token))).toBe('401 attestation_failed')
    const { body } = await purser.asAdmin('GET', '/api/v1/workloads/podless-pods')
    const { id: _, revision, disabled: __, lastUsedAt: ___, ...spec } = body as Record<string, unknown>
    await purser.asAdmin('PUT', '/api/v1/workloads/podless-pods', { ...spec, requirePodBound: false }, { 'if-match': `"${String(revision)}"` }) // prettier-ignore
    expect((await present(token)).status).toBe(200)
  })

  it('a reviewer without permission causes 503 and a line in the server log, until it has the permission', async () => {
    const kube = await startCluster()
    const tokenFile = await registerCluster('blind', kube)
    await writeFile(tokenFile, 'eyJhbGciOiJub25lIn0.e30.d3Jvbmc')
    expect(fault(await present(kube.token()))).toBe('503 unavailable')
    expect(purser.logs.some((line) => line.includes('attestor.') && line.includes('blind'))).toBe(true)
    expect(purser.logs.join('')).not.toContain('d3Jvbmc')
    const check = await purser.asAdmin('POST', '/api/v1/attestors/blind:check')
    expect(check.body.ok).toBe(false)
    await writeFile(tokenFile, kube.reviewer)
    expect(await purser.asAdmin('POST', '/api/v1/attestors/blind:check')).toMatchObject({ body: { ok: true } })
    expect((await present(kube.token())).status).toBe(200)
  })

  it('a cluster that reports names of another cluster is limited to its own prefix, 200 of 200 times', async () => {
    const [good, evil] = [await startCluster(), await startCluster()]
    await registerCluster('cluster-a', good)
    await registerCluster('cluster-b', evil)
    const names = Array.from({ length: 200 }, (_, n) => ({ ns: `team-${n % 20}`, sa: `web-${n}.cluster-a` }))
    const answers = await Promise.all(
      names.map(({ ns, sa }, n) => present(evil.token({ ns, sa, saUid: `aaaaaaaa-0000-4000-8000-${String(n).padStart(12, '0')}` }))),
    )
    expect(new Set(answers.map(fault))).toEqual(new Set(['200 ']))
    const spiffeIds = answers.filter(({ status }) => status === 200).map(({ body }) => String(body.spiffeId))
    expect(spiffeIds).toHaveLength(200)
    expect(spiffeIds.every((id) => id.startsWith('spiffe://example.org/cluster-b/'))).toBe(true)
    const claimed = evil.token({ claims: { iss: good.issuer } })
    expect(fault(await present(claimed))).toBe('401 attestation_failed')
    for (const spiffeId of ['spiffe://example.org/cluster-a/x', 'spiffe://example.org/{k8s:ns}/x', 'spiffe://example.org/cluster-b/../cluster-a/x', 'spiffe://other.org/cluster-b/x']) {
      const entry = { name: 'thief', attestor: 'cluster-b', match: { 'k8s:ns': 'a' }, spiffeId }
      expect((await purser.call('POST', '/api/v1/workloads', entry, { token: purser.admin })).status).toBeGreaterThan(399)
    }
  }) // prettier-ignore
})

describe('limits of one attestor', () => {
  it('apply before verification with 429, and addresses with an earlier valid proof continue', async () => {
    const small = await startPurser({ env: { PURSER_LIMIT_ATTESTOR_PER_SECOND: '1', PURSER_LIMIT_BURST_SECONDS: '3' } })
    onTestFinished(() => small.stop())
    const own = await createIssuer()
    await registerLab(small, own)
    const send = async (token: string) => fault(await small.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token } })) // prettier-ignore
    expect(await send(await own.token())).toBe('200 ')
    const forged = craft({ alg: 'ES256', kid: 'k1' }, { ...claims(), iss: own.issuer }, es256())
    const answers = await Promise.all(Array.from({ length: 30 }, () => send(forged)))
    expect(answers.filter((answer) => answer === '429 rate_limited').length).toBeGreaterThan(20)
    // Unconfigured issuers use up no attestor's limit.
    expect(await send(await (await createIssuer('https://nobody.example')).token())).toBe('401 attestation_failed')
    const log = await readLog(small)
    expect(log.filter((entry) => entry.reason === 'rate_limited')).toHaveLength(0)
  })

  it('are used up by forged proofs of twenty addresses, and still admit new pods', async () => {
    const env = {
      PURSER_LIMIT_ATTESTOR_PER_SECOND: '20',
      PURSER_LIMIT_ADDRESS_PER_SECOND: '1000',
      PURSER_TRUSTED_PROXIES: '127.0.0.0/8',
    }
    const small = await startPurser({ env })
    onTestFinished(() => small.stop())
    const own = await createIssuer()
    await registerLab(small, own)
    const send = async (address: string, token: string) => {
      const headers = { 'x-forwarded-for': address }
      return fault(await small.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token } }, { headers }))
    }
    const forged = craft({ alg: 'ES256', kid: 'k1' }, { ...claims(), iss: own.issuer }, es256())
    const flood = (round: number) =>
      Promise.all(Array.from({ length: 200 }, (_, n) => send(`203.0.113.${(n + round) % 20}`, forged)))
    const forgeries = (await flood(0)).concat(await flood(1))
    expect(new Set(forgeries)).toEqual(new Set(['401 attestation_failed', '429 rate_limited']))
    const pods = Array.from({ length: 50 }, async (_, n) => send(`10.0.${n}.1`, await own.token()))
    const [answers] = await Promise.all([Promise.all(pods), flood(2)])
    expect(new Set(answers)).toEqual(new Set(['200 ']))
  })
})
