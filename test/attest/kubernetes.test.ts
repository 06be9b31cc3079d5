/** The kubernetes attestor against a stand-in API server over real TLS. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Attestor } from '../../src/attest/attestor.ts'
import { createAttestor } from '../../src/attest/kinds.ts'
import { type Outbound, createOutbound } from '../../src/outbound/client.ts'
import { type Identities, makeIdentities } from '../outbound/tls-server.ts'
import { type KubeStandIn, type Review, startKubeStandIn } from '../support/kube-stand-in.ts'
import { attestText, audience, codeOf, craft, es256, hs256, partsFor, type LogLine } from './tokens.ts'

let ids: Identities
let kube: KubeStandIn
let outbound: Outbound
let logLines: LogLine[]
const tokenFile = '/var/run/secrets/purser/reviewer-token'
const files = new Map<string, string>()

beforeAll(() => {
  ids = makeIdentities()
})
beforeEach(async () => {
  kube = await startKubeStandIn({ identity: ids.good, caPem: ids.ca })
  outbound = createOutbound({ allow: [] })
  files.clear()
  files.set(tokenFile, `${kube.reviewer}\n`)
})
afterEach(async () => {
  outbound.close()
  await kube.stop()
})

type More = { standIn?: KubeStandIn } & Record<string, unknown>
function attestorOf(verify: string, { standIn = kube, ...more }: More = {}): Attestor {
  const definition = {
    name: 'prod-eu',
    kind: 'kubernetes',
    issuer: standIn.issuer,
    audience,
    spiffeIdPrefix: '/prod-eu/',
    verify,
    apiServer: { url: standIn.url, caPem: standIn.caPem, tokenFile },
    keys: { discovery: true },
    maxTokenAgeSeconds: 86_400,
    singleUse: false,
    otherAudiences: 'allow',
    ...more,
  }
  const context = partsFor(outbound, {
    readFile: async (path) => files.get(path) ?? Promise.reject(new Error('ENOENT')),
  })
  logLines = context.logLines
  const row = { id: 'att_1', name: 'prod-eu', kind: 'kubernetes', spiffeIdPrefix: '/prod-eu/', definition, revision: 1 }
  return createAttestor(row, context.parts)
}
const judge = (verify: string, token: string, more?: More) =>
  codeOf(() => attestText(attestorOf(verify, more), token, new Date()))

const modes = ['tokenreview', 'jwks', 'jwks-then-tokenreview'] as const
const reviewing = ['tokenreview', 'jwks-then-tokenreview'] as const
const reviews = () => kube.requests.filter(({ path }) => path.endsWith('/tokenreviews'))

describe.each(modes)('a token of a pod (%s)', (verify) => {
  it('yields namespace, account, pod and node, with their ids', async () => {
    const attested = await attestText(attestorOf(verify), kube.token(), new Date())
    expect({ ...attested.selectors }).toEqual({
      'k8s:ns': 'prod',
      'k8s:sa': 'web',
      'k8s:sa-uid': 'aaaaaaaa-0000-4000-8000-000000000001',
      'k8s:pod-name': 'web-1',
      'k8s:pod-uid': 'bbbbbbbb-0000-4000-8000-000000000001',
      'k8s:node': 'n1',
    })
    expect(attested.instance).toEqual(['pod', attested.selectors['k8s:pod-uid'], attested.selectors['k8s:sa-uid']])
    expect(attested.podBound).toBe(true)
    expect(attested.account).toMatchObject({ name: 'prod/web', uid: 'aaaaaaaa-0000-4000-8000-000000000001' })
    expect(attested.singleUse).toBeUndefined()
  })

  it('is reviewed with our audience and credential, never with the workload’s token as credential', async () => {
    const token = kube.token()
    await attestText(attestorOf(verify), token, new Date())
    expect(reviews()).toHaveLength(verify === 'jwks' ? 0 : 1)
    for (const { body } of reviews()) expect(JSON.parse(body).spec).toEqual({ token, audiences: [audience] })
    expect(new Set(kube.requests.map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${kube.reviewer}`]),
    )
  })

  it('presented again by a restarted container yields the same instance', async () => {
    const attestor = attestorOf(verify)
    const token = kube.token()
    const [first, second] = [
      await attestText(attestor, token, new Date()),
      await attestText(attestor, token, new Date()),
    ]
    const three = await attestText(attestor, kube.token(), new Date())
    expect(second.instance).toEqual(first.instance)
    expect(three.instance).toEqual(first.instance)
  })

  it('without a pod: the proof is not pod-bound, and each token is its own instance', async () => {
    const attestor = attestorOf(verify)
    const first = await attestText(attestor, kube.token({ pod: null }), new Date())
    const two = await attestText(attestor, kube.token({ pod: null }), new Date())
    expect(first.podBound).toBe(false)
    expect(first.instance).not.toEqual(two.instance)
    expect(Object.keys(first.selectors)).toEqual(['k8s:ns', 'k8s:sa', 'k8s:sa-uid'])
  })

  it('a node without an object, and several audiences, as External Secrets requests them', async () => {
    const token = kube.token({ audience: ['a', audience, 'b'], kube: { node: { name: 'n2' } } })
    expect((await attestText(attestorOf(verify), token, new Date())).selectors['k8s:node']).toBe('n2')
    expect(await judge(verify, token, { otherAudiences: 'refuse' })).toBe('proof_audience')
  })

  const uid = 'aaaaaaaa-0000-4000-8000-000000000009'
  const refused: [string, Parameters<KubeStandIn['token']>[0], string][] = [
    ['21: the API server’s own audience', { audience: ['https://kubernetes.default.svc'] }, 'proof_issuer'],
    ['21: another service’s audience', { audience: ['vault'] }, 'proof_issuer'],
    ['21: a year’s life behind warnafter', { kube: { warnafter: 1 } }, 'proof_rejected'],
    ['21: warnafter that is null', { kube: { warnafter: null } }, 'proof_rejected'],
    ['a year’s life', { life: 365 * 86_400 }, 'proof_claims'],
    ['made two days ago', { at: Math.floor(Date.now() / 1000) - 2 * 86_400, life: 3 * 86_400 }, 'proof_too_old'],
    ['expired', { at: Math.floor(Date.now() / 1000) - 7200 }, 'proof_expired'],
    ['27: no audience', { claims: { aud: undefined } }, 'proof_claims'],
    ['27: no end', { claims: { exp: undefined } }, 'proof_claims'],
    ['27: the legacy flat claims', { claims: { 'kubernetes.io': undefined, 'kubernetes.io/serviceaccount/namespace': 'prod' } }, 'proof_claims'],
    ['23: a node', { claims: { sub: 'system:node:n1' } }, 'proof_claims'],
    ['23: a person', { claims: { sub: 'admin' } }, 'proof_claims'],
    ['23: three parts', { claims: { sub: 'system:serviceaccount:prod' } }, 'proof_claims'],
    ['23: five parts', { claims: { sub: 'system:serviceaccount:prod:web:x' } }, 'proof_claims'],
    ['sub of another namespace', { claims: { sub: 'system:serviceaccount:dev:web' } }, 'proof_claims'],
    ['sub of another account', { claims: { sub: 'system:serviceaccount:prod:api' } }, 'proof_claims'],
    ['a namespace with a colon', { ns: 'a:b' }, 'proof_claims'],
    ['a namespace in capitals', { ns: 'Prod' }, 'proof_claims'],
    ['an account with a slash', { sa: 'web/../admin' }, 'proof_claims'],
    ['an account with a line end', { sa: 'web\n' }, 'proof_claims'],
    ['no account', { kube: { serviceaccount: undefined } }, 'proof_claims'],
    ['an account that is a list', { kube: { serviceaccount: [{ name: 'web', uid }] } }, 'proof_claims'],
    ['an account without a UID', { kube: { serviceaccount: { name: 'web' } } }, 'proof_claims'],
    ['an account with an empty UID', { kube: { serviceaccount: { name: 'web', uid: '' } } }, 'proof_claims'],
    ['a pod without a UID', { kube: { pod: { name: 'web-1' } } }, 'proof_claims'],
    ['a pod that is text', { kube: { pod: 'web-1' } }, 'proof_claims'],
    ['a pod that is null', { kube: { pod: null } }, 'proof_claims'],
    ['a pod with a path for a name', { kube: { pod: { name: '../x', uid } } }, 'proof_claims'],
    ['a node with a path for a name', { kube: { node: { name: '../x' } } }, 'proof_claims'],
    ['claims that are a list', { claims: { 'kubernetes.io': [] } }, 'proof_claims'],
  ] // prettier-ignore
  it.each(refused)('is refused: %s', async (_, options, code) => {
    expect(await judge(verify, kube.token(options))).toBe(code)
    expect(reviews()).toHaveLength(0)
  })

  it('a forged token is refused', async () => {
    const [, payload = ''] = kube.token().split('.')
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const header = { alg: 'ES256', kid: kube.jwk.kid }
    kube.state.answer = () => ({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      status: { error: 'invalid' },
    })
    const code = verify === 'tokenreview' ? 'proof_rejected' : 'proof_signature'
    expect(await judge(verify, craft(header, claims, es256()))).toBe(code)
    expect(await judge(verify, craft({ ...header, alg: 'HS256' }, claims, hs256('x')))).toBe('proof_algorithm')
    expect(reviews()).toHaveLength(verify === 'tokenreview' ? 1 : 0)
  })
})

describe('deleted objects', () => {
  it.each(reviewing)('a deleted pod or account is refused by the cluster (%s)', async (verify) => {
    const token = kube.token()
    expect(await judge(verify, token)).toBe('accepted')
    kube.state.gone.add('bbbbbbbb-0000-4000-8000-000000000001')
    expect(await judge(verify, token)).toBe('proof_rejected')
    kube.state.gone.clear()
    kube.state.gone.add('aaaaaaaa-0000-4000-8000-000000000001')
    expect(await judge(verify, token)).toBe('proof_rejected')
  })
  it('local verification accepts the token until its end', async () => {
    kube.state.gone.add('bbbbbbbb-0000-4000-8000-000000000001')
    expect(await judge('jwks', kube.token())).toBe('accepted')
  })
})

describe('replies of a hostile cluster to a review', () => {
  const set = (path: string, value: unknown) => (review: Review) => {
    const copy = structuredClone(review) as Record<string, unknown>
    const names = path.split('/')
    const last = names.pop() ?? ''
    const at = names.reduce((object, name) => object[name] as Record<string, unknown>, copy)
    if (value === undefined) delete at[last]
    else at[last] = value
    return copy
  }
  const podKey = 'status/user/extra'
  const k = 'authentication.kubernetes.io/'
  const extra = (changes: Record<string, unknown>) => (review: Review) => {
    const copy = structuredClone(review) as { status: { user: { extra: Record<string, unknown> } } }
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) delete copy.status.user.extra[k + name]
      else copy.status.user.extra[k + name] = value
    }
    return copy
  }
  const groups = (...list: unknown[]) => set('status/user/groups', list)
  const other = 'dddddddd-0000-4000-8000-000000000001'
  const mutations: [string, (review: Review) => unknown][] = [
    ['null', () => null],
    ['a list', (review) => [review]],
    ['text', () => 'ok'],
    ['another kind', set('kind', 'SubjectAccessReview')],
    ['no kind', set('kind', undefined)],
    ['an older version', set('apiVersion', 'authentication.k8s.io/v1beta1')],
    ['no status', set('status', undefined)],
    ['a status that is a list', set('status', [])],
    ['authenticated: "true"', set('status/authenticated', 'true')],
    ['authenticated: 1', set('status/authenticated', 1)],
    ['authenticated: [true]', set('status/authenticated', [true])],
    ['authenticated: null', set('status/authenticated', null)],
    ['authenticated: false', set('status/authenticated', false)],
    ['authenticated left out', set('status/authenticated', undefined)],
    ['25: an error beside consent', set('status/error', 'token expired')],
    ['25: an error that is an object', set('status/error', {})],
    ['25: an error that is null', set('status/error', null)],
    ['22: audiences left out', set('status/audiences', undefined)],
    ['22: no audiences', set('status/audiences', [])],
    ['22: another audience', set('status/audiences', ['https://kubernetes.default.svc'])],
    ['22: audiences as text', set('status/audiences', audience)],
    ['22: audiences as an object', set('status/audiences', { 0: audience })],
    ['22: one that begins alike', set('status/audiences', [`${audience}.evil.example`])],
    ['22: one more than requested', set('status/audiences', [audience, 'https://kubernetes.default.svc'])],
    ['22: a number among them', set('status/audiences', [audience, 1])],
    ['no user', set('status/user', undefined)],
    ['a user that is text', set('status/user', 'system:serviceaccount:prod:web')],
    ['23: three parts', set('status/user/username', 'system:serviceaccount:prod')],
    ['23: five parts', set('status/user/username', 'system:serviceaccount:prod:web:x')],
    ['23: a node', set('status/user/username', 'system:node:n1')],
    ['23: a person', set('status/user/username', 'admin')],
    ['23: another account', set('status/user/username', 'system:serviceaccount:prod:admin')],
    ['23: another namespace', set('status/user/username', 'system:serviceaccount:kube-system:web')],
    ['23: a namespace in capitals', set('status/user/username', 'system:serviceaccount:PROD:web')],
    ['23: a line end', set('status/user/username', 'system:serviceaccount:prod:web\n')],
    ['23: a list', set('status/user/username', ['system:serviceaccount:prod:web'])],
    ['23: nothing', set('status/user/username', undefined)],
    ['another UID', set('status/user/uid', other)],
    ['no UID', set('status/user/uid', undefined)],
    ['an empty UID', set('status/user/uid', '')],
    ['a UID that is a list', set('status/user/uid', ['aaaaaaaa-0000-4000-8000-000000000001'])],
    ['no groups', set('status/user/groups', undefined)],
    ['groups of another namespace', groups('system:serviceaccounts', 'system:serviceaccounts:dev')],
    ['groups without a service account', groups('system:authenticated')],
    ['groups with a number', groups('system:serviceaccounts', 'system:serviceaccounts:prod', 1)],
    ['no extra facts', set(podKey, undefined)],
    ['extra facts as a list', set(podKey, [])],
    ['extra facts as text values', extra({ 'pod-name': 'web-1' })],
    ['an extra fact of numbers', extra({ more: [1] })],
    ['another pod', extra({ 'pod-name': ['web-2'] })],
    ['another pod’s UID', extra({ 'pod-uid': [other] })],
    ['two pods', extra({ 'pod-uid': ['bbbbbbbb-0000-4000-8000-000000000001', other] })],
    ['no value for the pod', extra({ 'pod-uid': [] })],
    ['half a pod', extra({ 'pod-name': undefined })],
    ['no pod', extra({ 'pod-name': undefined, 'pod-uid': undefined })],
    ['another node', extra({ 'node-name': ['n2'] })],
    ['no node', extra({ 'node-name': undefined })],
    ['a node with a path for a name', extra({ 'node-name': ['../n1'] })],
    ['another token’s id', extra({ 'credential-id': ['JTI=another'] })],
  ] // prettier-ignore

  it.each(mutations)('is refused: %s', async (_, answer) => {
    kube.state.answer = answer
    for (const verify of reviewing) expect(await judge(verify, kube.token())).toBe('proof_rejected')
    expect(reviews()).toHaveLength(2)
  })
  it(`${mutations.length} of them, and what none of them touches is accepted`, async () => {
    expect(mutations.length).toBeGreaterThanOrEqual(40)
    kube.state.answer = extra({ 'credential-id': undefined, other: ['x', 'y'] })
    for (const verify of reviewing) expect(await judge(verify, kube.token())).toBe('accepted')
  })

  it('a token without a pod, for which the cluster names one', async () => {
    kube.state.answer = extra({ 'pod-name': ['web-1'], 'pod-uid': ['bbbbbbbb-0000-4000-8000-000000000001'] })
    expect(await judge('tokenreview', kube.token({ pod: null }))).toBe('proof_rejected')
  })

  it('its error text reaches operators, cut and printable', async () => {
    kube.state.answer = set('status', { authenticated: false, error: `\u001b[31m${'x'.repeat(1000)}\u202e` })
    const refusal = await attestText(attestorOf('tokenreview'), kube.token(), new Date()).then(() => undefined, (error: unknown) => error) // prettier-ignore
    const { explanation } = (refusal as { info: { explanation: { error: string } } }).info
    expect(explanation.error).toMatch(/^\?\[31mx{195}$/)
  })
})

describe('faults on our side: 503, a line in the log, and no detail for the caller', () => {
  const answers =
    (status: number, body = '{}', headers: Record<string, string> = {}) =>
    (path: string, response: import('node:http').ServerResponse): boolean => {
      if (!path.endsWith('/tokenreviews')) return false
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
      return true
    }
  const faults: [string, ReturnType<typeof answers>, RegExp][] = [
    ['24: 401, a reviewer that is unknown', answers(401), /does not know our token/],
    ['24: 403, a reviewer that may not', answers(403), /may not create tokenreviews/],
    ['404, no API server', answers(404), /no TokenReview at this URL/],
    ['429', answers(429), /429/],
    ['500', answers(500), /500/],
    ['a redirect with our token in sight', answers(307, '', { location: 'https://127.0.0.1:1/' }), /redirects are not followed/],
    ['a page', answers(201, '<html>'), /not strict JSON/],
    ['the same member twice', answers(201, '{"kind":"TokenReview","kind":"TokenReview"}'), /not strict JSON/],
    ['more than 64 KiB', answers(201, JSON.stringify({ more: 'x'.repeat(70_000) })), /larger than 65536/],
  ] // prettier-ignore
  it.each(faults)('%s', async (_, instead, words) => {
    kube.state.instead = instead
    const attestor = attestorOf('tokenreview')
    for (let n = 0; n < 3; n++) expect(await codeOf(attestText(attestor, kube.token(), new Date()))).toBe('unavailable')
    expect(logLines).toHaveLength(1)
    expect(logLines[0]?.note).toMatch(words)
    expect(JSON.stringify(logLines)).not.toContain(kube.reviewer)
    const check = await attestor.check(new Date())
    expect(check).toEqual([{ ok: false, what: 'TokenReview', detail: expect.stringMatching(words) }])
  })
  it('200 instead of 201 is no review', async () => {
    kube.state.instead = answers(200)
    expect(await judge('tokenreview', kube.token())).toBe('proof_rejected')
  })

  it('another certificate: the credential is not sent', async () => {
    const stranger = await startKubeStandIn({ identity: ids.otherCa, caPem: ids.ca, issuer: kube.issuer })
    try {
      for (const verify of modes) expect(await judge(verify, kube.token(), { standIn: stranger })).toBe('unavailable')
      expect(stranger.requests).toHaveLength(0)
    } finally {
      await stranger.stop()
    }
  })

  it('a token file that is missing, empty, or holds no JWT', async () => {
    for (const content of [undefined, '', 'root:x:0:0:root:/root:/bin/sh', 'QUJD'.repeat(11), `${kube.reviewer} x`]) {
      if (content === undefined) files.delete(tokenFile)
      else files.set(tokenFile, content)
      for (const verify of modes) expect(await judge(verify, kube.token())).toBe('unavailable')
    }
    expect(kube.requests).toHaveLength(0)
  })

  it('the token file is read at each use, because the kubelet renews it', async () => {
    const attestor = attestorOf('tokenreview')
    files.set(tokenFile, 'eyJhbGciOiJub25lIn0.e30.b2xk')
    expect(await codeOf(attestText(attestor, kube.token(), new Date()))).toBe('unavailable')
    files.set(tokenFile, kube.reviewer)
    expect(await codeOf(attestText(attestor, kube.token(), new Date()))).toBe('accepted')
  })

  it('a hanging cluster is aborted after five seconds', async () => {
    kube.state.instead = (path) => path.endsWith('/tokenreviews')
    const attestor = attestorOf('tokenreview')
    const all = Promise.all(Array.from({ length: 300 }, () => codeOf(attestText(attestor, kube.token(), new Date()))))
    expect(new Set(await all)).toEqual(new Set(['unavailable']))
    expect(kube.requests.length).toBeLessThanOrEqual(256)
  })
})

describe('the source of a cluster’s keys', () => {
  it('our credential goes only to the API server, whatever its document names', async () => {
    const stranger = await startKubeStandIn({ identity: ids.good, caPem: ids.ca })
    try {
      kube.state.jwksUri = `${stranger.url}/openid/v1/jwks`
      expect(await judge('jwks', kube.token())).toBe('accepted')
      expect(kube.requests.map(({ path }) => path)).toEqual(['/.well-known/openid-configuration', '/openid/v1/jwks'])
      expect(stranger.requests).toHaveLength(0)
    } finally {
      await stranger.stop()
    }
  })
  it('a document of another issuer is refused', async () => {
    expect(await judge('jwks', kube.token({ claims: { iss: 'https://other.example' } }), { issuer: 'https://other.example' })).toBe('unavailable')
    expect(logLines.at(-1)?.note).toContain('another issuer than the configured one')
  }) // prettier-ignore
  it('inline keys need no network', async () => {
    const more = { keys: { jwks: { keys: [kube.jwk] } }, apiServer: undefined }
    expect(await judge('jwks', kube.token(), more)).toBe('accepted')
    expect(kube.requests).toHaveLength(0)
  })
  it('a second cluster with the same names is another issuer, whose keys do not verify tokens of the first', async () => {
    const west = await startKubeStandIn({ identity: ids.good, caPem: ids.ca, issuer: kube.issuer })
    try {
      for (const verify of ['jwks', 'jwks-then-tokenreview']) {
        expect(await judge(verify, west.token())).toBe('proof_key_unknown')
      }
    } finally {
      await west.stop()
    }
  })
})

describe('in-cluster', () => {
  it("uses the files of the pod's own cluster", async () => {
    const mount = '/var/run/secrets/kubernetes.io/serviceaccount'
    const requests: unknown[] = []
    const parts = partsFor(
      {
        allows: () => false,
        fetchJson: (url, options) => {
          requests.push([url, options.configured, options.caPem, options.headers?.authorization])
          return outbound.fetchJson(url.replace('https://kubernetes.default.svc', kube.url), options)
        },
      },
      { readFile: async (path) => new Map([[`${mount}/token`, kube.reviewer], [`${mount}/ca.crt`, kube.caPem]]).get(path) ?? Promise.reject(new Error('ENOENT')) }, // prettier-ignore
    ).parts
    const definition = { name: 'own', kind: 'kubernetes', issuer: kube.issuer, audience, verify: 'jwks-then-tokenreview', apiServer: 'in-cluster', keys: { discovery: true }, maxTokenAgeSeconds: 86_400, singleUse: true, otherAudiences: 'allow' } // prettier-ignore
    const row = { id: 'att_1', name: 'own', kind: 'kubernetes', spiffeIdPrefix: '/own/', definition, revision: 1 }
    kube.state.jwksUri = 'https://10.0.0.1:6443/openid/v1/jwks'
    const { singleUse: once } = await attestText(createAttestor(row, parts), kube.token(), new Date())
    expect(once?.id).toMatch(/^[0-9a-f-]{36}$/)
    const as = [true, kube.caPem, `Bearer ${kube.reviewer}`]
    expect(requests).toEqual([
      ['https://kubernetes.default.svc/.well-known/openid-configuration', ...as],
      ['https://kubernetes.default.svc/openid/v1/jwks', ...as],
      ['https://kubernetes.default.svc/apis/authentication.k8s.io/v1/tokenreviews', ...as],
    ])
  })
})

describe('check', () => {
  it('reports a healthy cluster', async () => {
    expect(await attestorOf('jwks-then-tokenreview').check(new Date())).toEqual([
      { ok: true, what: 'discovery and keys', detail: '1 usable' },
      { ok: true, what: 'TokenReview', detail: 'the server answers us' },
    ])
  })
  it('identifies a server that accepts every token', async () => {
    kube.state.instead = (path, response) => {
      if (!path.endsWith('/tokenreviews')) return false
      const user = { username: 'system:serviceaccount:a:b', uid: 'x', groups: ['system:serviceaccounts', 'system:serviceaccounts:a'], extra: {} } // prettier-ignore
      const status = { authenticated: true, user, audiences: [audience] }
      response.writeHead(201, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status }))
      return true
    }
    const [finding] = await attestorOf('tokenreview').check(new Date())
    expect(finding).toMatchObject({ ok: false, detail: expect.stringContaining('do not trust it') })
  })
})
