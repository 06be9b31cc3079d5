// Purser attests what a real kube-apiserver confirms, and nothing else.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { entriesOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, audience, startPurser } from '../support/purser.ts'
import { type Kube, startKube } from './support/kube.ts'

const ns = 'shop'
// One attestor for each way to verify, distinguished by the audience of its tokens.
const ways = [
  ['both', 'jwks-then-tokenreview', audience],
  ['review', 'tokenreview', 'purser-review'],
  ['keys', 'jwks', 'purser-keys'],
] as const
const reviewing = ways.filter(([, verify]) => verify !== 'jwks')

let folder: string
let purser: TestPurser
let east: Kube
let west: Kube
/** A cluster that claims to be `east`, with keys of its own. */
let twin: Kube

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'purser-interop-'))
  purser = await startPurser({
    store: 'embedded',
    env: {
      PURSER_AUDIENCES: ways.map(([, , name]) => name).join(','),
      PURSER_LIMIT_ADDRESS_PER_SECOND: '100000',
      PURSER_LIMIT_REFUSALS_PER_MINUTE: '100000',
    },
  })
  ;[east, west] = await Promise.all([
    startKube({ name: 'east' }),
    startKube({ name: 'west', issuer: 'https://west.kube.test' }),
  ])
  twin = await startKube({ name: 'twin', issuer: east.issuer })
  for (const kube of [east, west, twin]) {
    await kube.createNamespace(ns)
    await kube.createServiceAccount(ns, 'web')
  }
  for (const [way, verify, name] of ways) await register(east, `east-${way}`, { verify, audience: name })
  await register(west, 'west', {})
})
afterAll(async () => {
  await purser?.stop()
  await Promise.all([east, west, twin].map((kube) => kube?.stop()))
  await rm(folder, { recursive: true, force: true })
})

async function register(kube: Kube, name: string, more: Record<string, unknown>): Promise<void> {
  const tokenFile = join(folder, `${name}-reviewer`)
  await writeFile(tokenFile, kube.reviewerToken)
  const apiServer = { url: kube.url, caPem: kube.caPem, tokenFile }
  await purser.asAdmin('POST', '/api/v1/attestors', { name, kind: 'kubernetes', issuer: kube.issuer, audience, apiServer, ...more }) // prettier-ignore
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: `${name}-pods`,
    attestor: name,
    match: { 'k8s:ns': '*', 'k8s:sa': '*' },
    wide: true,
    spiffeId: `spiffe://example.org/${name}/ns/{k8s:ns}/sa/{k8s:sa}`,
    grants: { x509: {} },
    maxSessionSeconds: 7200,
  })
}

const present = (token: string): Promise<Answer> =>
  purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token },
    x509: { generateKey: 'EC-P256' },
    accessToken: {},
  })
const sessionOf = ({ body }: Answer): string => (body.session as { id: string }).id
const identityOf = (answer: Answer) =>
  purser.call('GET', '/api/v1/credentials/self', undefined, {
    token: (answer.body.accessToken as { token: string }).token,
  })
async function reasonOf(answer: Answer): Promise<string | undefined> {
  const entries = await entriesOf(purser, answer.headers.get('purser-request-id'))
  return entries.find((entry) => entry.action === 'credentials.issue')?.reason
}
/** The API server caches its answers for about ten seconds. */
const eventually = (assertion: () => Promise<void>) => vi.waitFor(assertion, { timeout: 25_000, interval: 500 })

describe.each(ways)('by %s', (way, _verify, name) => {
  it('the check finds no fault', async () => {
    const { body } = await purser.asAdmin('POST', `/api/v1/attestors/east-${way}:check`)
    expect(body).toMatchObject({ ok: true })
  })

  it('a pod’s token is attested, and again when its container restarts', async () => {
    const pod = await east.createPod({ ns, name: `web-${way}`, sa: 'web', nodeName: 'node-7' })
    const token = await east.tokenRequest({ ns, sa: 'web', audiences: [name, 'other'], boundPod: pod })
    const [answer, two] = [await present(token), await present(token)]
    expect([fault(answer), fault(two)]).toEqual(['200 ', '200 '])
    expect(answer.body.spiffeId).toBe(`spiffe://example.org/east-${way}/ns/shop/sa/web`)
    expect(sessionOf(two)).toBe(sessionOf(answer))
    const { body } = await identityOf(answer)
    expect(body.selectors).toMatchObject({
      'k8s:ns': ns,
      'k8s:sa': 'web',
      'k8s:pod-name': `web-${way}`,
      'k8s:pod-uid': pod.uid,
      'k8s:node': 'node-7',
    })
    const renewed = await present(await east.tokenRequest({ ns, sa: 'web', audiences: [name], boundPod: pod }))
    expect(sessionOf(renewed)).toBe(sessionOf(answer))
  })

  it('a token without a pod is refused unless the entry allows it', async () => {
    const answer = await present(await east.tokenRequest({ ns, sa: 'web', audiences: [name] }))
    expect(fault(answer)).toBe('401 attestation_failed')
    expect(await reasonOf(answer)).toBe('proof_not_pod_bound')
  })

  it('another audience’s token, and the default token of every pod, are refused', async () => {
    const pod = await east.createPod({ ns, name: `audience-${way}`, sa: 'web' })
    for (const audiences of [['vault'], undefined, [east.issuer, 'https://kubernetes.default.svc']]) {
      const token = await east.tokenRequest({ ns, sa: 'web', boundPod: pod, ...(audiences && { audiences }) })
      const answer = await present(token)
      expect(fault(answer)).toBe('401 attestation_failed')
      expect(await reasonOf(answer)).toBe('proof_issuer')
    }
  })

  it('a second cluster’s token of the same names and issuer is refused', async () => {
    const pod = await twin.createPod({ ns, name: `web-${way}`, sa: 'web' })
    const answer = await present(await twin.tokenRequest({ ns, sa: 'web', audiences: [name], boundPod: pod }))
    expect(fault(answer)).toBe('401 attestation_failed')
    expect(await reasonOf(answer)).toBe(way === 'review' ? 'proof_rejected' : 'proof_key_unknown')
  })
})

describe('a deleted pod', () => {
  it.each(reviewing)('is refused by the cluster (%s)', async (way, _verify, name) => {
    const pod = await east.createPod({ ns, name: `gone-${way}`, sa: 'web' })
    const token = await east.tokenRequest({ ns, sa: 'web', audiences: [name], boundPod: pod })
    expect(fault(await present(token))).toBe('200 ')
    await east.deletePod(ns, `gone-${way}`)
    await eventually(async () => {
      const answer = await present(token)
      expect(fault(answer)).toBe('401 attestation_failed')
      expect(await reasonOf(answer)).toBe('proof_rejected')
    })
  })
  it('is accepted to its token’s end by local verification, as SECURITY.md says', async () => {
    const pod = await east.createPod({ ns, name: 'gone-keys', sa: 'web' })
    const token = await east.tokenRequest({ ns, sa: 'web', audiences: ['purser-keys'], boundPod: pod })
    await east.deletePod(ns, 'gone-keys')
    expect(fault(await present(token))).toBe('200 ')
  })
})

describe('a recreated service account', () => {
  it.each(ways)('is another principal, and the credentials of the older one end (%s)', async (way, _verify, name) => {
    const sa = `phoenix-${way}`
    await east.createServiceAccount(ns, sa)
    const pod = await east.createPod({ ns, name: `${sa}-1`, sa })
    const token = await east.tokenRequest({ ns, sa, audiences: [name], boundPod: pod })
    const old = await present(token)
    expect(fault(await identityOf(old))).toBe('200 ')
    await east.deleteServiceAccount(ns, sa)
    const { uid } = await east.createServiceAccount(ns, sa)
    // A token from the second in which the older account was first seen could belong to the older account.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const pod2 = await east.createPod({ ns, name: `${sa}-2`, sa })
    await eventually(async () => {
      const fresh = await present(await east.tokenRequest({ ns, sa, audiences: [name], boundPod: pod2 }))
      expect(fault(fresh)).toBe('200 ')
      expect((await identityOf(fresh)).body.selectors).toMatchObject({ 'k8s:sa-uid': uid })
    })
    expect(fault(await identityOf(old))).toBe('401 unauthenticated')
    const reply = await present(token)
    expect(fault(reply)).toBe('401 attestation_failed')
    expect(['identity_superseded', 'proof_rejected']).toContain(await reasonOf(reply))
    const changes = (await readLog(purser)).filter((entry) => entry.action === 'identity.change' && entry.resource?.id === uid) // prettier-ignore
    expect(changes).toHaveLength(1)
  })
})

describe('two clusters with the same names', () => {
  it('attest under their own subtrees', async () => {
    const pods = await Promise.all([east, west].map((kube) => kube.createPod({ ns, name: 'same', sa: 'web' })))
    const tokens = await Promise.all(
      [east, west].map((kube, n) => {
        const boundPod = pods[n]
        return kube.tokenRequest({ ns, sa: 'web', audiences: [audience], ...(boundPod && { boundPod }) })
      }),
    )
    const answers = await Promise.all(tokens.map(present))
    expect(answers.map(({ body }) => body.spiffeId)).toEqual([
      'spiffe://example.org/east-both/ns/shop/sa/web',
      'spiffe://example.org/west/ns/shop/sa/web',
    ])
    const crossed = await purser.call('POST', '/api/v1/credentials', {
      attestor: 'west',
      proof: { kind: 'jwt', token: tokens[0] },
    })
    expect(await reasonOf(crossed)).toBe('attestor_unknown')
  })
})

describe('a reviewer without permission', () => {
  it('is a fault on our side: 503, and :check states the remedy', async () => {
    const path = join(folder, 'west-reviewer')
    await writeFile(path, await west.tokenRequest({ ns, sa: 'web' }))
    const pod = await west.createPod({ ns, name: 'unlucky', sa: 'web' })
    const token = await west.tokenRequest({ ns, sa: 'web', audiences: [audience], boundPod: pod })
    expect(fault(await present(token))).toBe('503 unavailable')
    const { body } = await purser.asAdmin('POST', '/api/v1/attestors/west:check')
    expect(JSON.stringify(body)).toContain('may not create tokenreviews')
    await writeFile(path, west.reviewerToken)
    expect(fault(await present(token))).toBe('200 ')
  })
})
