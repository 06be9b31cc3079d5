/** What an operator may configure, and the reports of all faults in it. */
import { describe, expect, it } from 'vitest'
import type { AttestorSpec } from '../../src/attest/definition.ts'
import { attestorRules, checkDefinition } from '../../src/attest/kinds.ts'
import { Refusal } from '../../src/errors.ts'
import type { AttestorRow } from '../../src/store/rows.ts'
import { makeIdentities } from '../outbound/tls-server.ts'
import { audience, b64, ec, jwkOf } from './tokens.ts'

const ids = makeIdentities()
const issuer = 'https://issuer.example'
const cluster = 'https://kubernetes.default.svc.cluster.local'
const apiServer = { url: 'https://10.0.0.1:6443', caPem: ids.ca, tokenFile: '/var/run/secrets/purser/reviewer-token' }
const oidc = (more: Partial<AttestorSpec> = {}): AttestorSpec => ({
  name: 'lab',
  kind: 'oidc',
  issuer,
  audience,
  ...more,
})
const kube = (more: Partial<AttestorSpec> = {}): AttestorSpec => ({
  name: 'prod-eu',
  kind: 'kubernetes',
  issuer: cluster,
  audience,
  apiServer,
  ...more,
})
const omit = (spec: AttestorSpec, name: keyof AttestorSpec): AttestorSpec => {
  const { [name]: _, ...rest } = spec
  return rest as AttestorSpec
}

type World = { attestors?: AttestorRow[]; replacing?: string; files?: Record<string, string> }
const check = (spec: AttestorSpec, { attestors = [], replacing, files = {} }: World = {}) =>
  checkDefinition(
    spec,
    { attestors: new Map(attestors.map((row) => [row.id, row])), issuer: 'https://purser.example.org' },
    {
      audiences: [audience, 'purser'],
      readFile: async (path) => files[path] ?? Promise.reject(new Error('ENOENT')),
    },
    replacing,
  )

async function faults(spec: AttestorSpec, world?: World): Promise<string[]> {
  try {
    await check(spec, world)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return [error.code, ...(error.info.errors ?? []).map(({ pointer }) => pointer)]
  }
  return []
}

describe('defaults', () => {
  it('of an oidc issuer', async () => {
    const attestor = await check(oidc({ managedBy: 'git:shop' }))
    expect(attestor).toMatchObject({ name: 'lab', kind: 'oidc', issuer, audience, spiffeIdPrefix: '/lab/' })
    expect(attestor.definition).toEqual({
      name: 'lab', kind: 'oidc', issuer, audience, spiffeIdPrefix: '/lab/', keys: { discovery: true },
      maxTokenAgeSeconds: 3600, singleUse: false, otherAudiences: 'refuse', managedBy: 'git:shop',
    }) // prettier-ignore
  })
  it('of an issuer of user logins: the audience is a client id', async () => {
    const login = { scopes: ['openid', 'groups'] }
    expect((await check(oidc({ audience: 'client-1', login }))).definition).toMatchObject({
      audience: 'client-1',
      login,
    })
  })
  it('of a cluster', async () => {
    const { definition } = await check(kube())
    expect(definition).toEqual({
      name: 'prod-eu', kind: 'kubernetes', issuer: cluster, audience, spiffeIdPrefix: '/prod-eu/', verify: 'jwks-then-tokenreview',
      apiServer, keys: { discovery: true }, maxTokenAgeSeconds: 86_400, singleUse: false, otherAudiences: 'allow',
    }) // prettier-ignore
  })
  it('of our own cluster: the issuer comes from its token', async () => {
    const token = `${b64('{"alg":"RS256"}')}.${b64(JSON.stringify({ iss: 'https://oidc.eks.example/id/1' }))}.AA`
    const files = { '/var/run/secrets/kubernetes.io/serviceaccount/token': `${token}\n` }
    const attestor = await check(omit(kube({ apiServer: 'in-cluster' }), 'issuer'), { files })
    expect(attestor.issuer).toBe('https://oidc.eks.example/id/1')
    expect(attestor.definition).toMatchObject({ apiServer: 'in-cluster', issuer: 'https://oidc.eks.example/id/1' })
    expect(await faults(omit(kube({ apiServer: 'in-cluster' }), 'issuer'))).toEqual(['impossible', '/apiServer'])
  })
  it.each([
    ['github-actions', 'https://token.actions.githubusercontent.com', true],
    ['gitlab-ci', 'https://gitlab.com', false],
    ['google', 'https://accounts.google.com', false],
  ] as const)('of the preset %s', async (preset, expectedIssuer, singleUse) => {
    const attestor = await check(omit(oidc({ preset }), 'issuer'))
    expect(attestor.issuer).toBe(expectedIssuer)
    expect(attestor.definition).toMatchObject({ preset, singleUse: singleUse, otherAudiences: 'refuse' })
  })
  it('explicit settings stay', async () => {
    const settings = {
      spiffeIdPrefix: '/a/b/',
      maxTokenAgeSeconds: 60,
      singleUse: true,
      otherAudiences: 'allow',
    } as const
    expect((await check(oidc(settings))).definition).toMatchObject(settings)
    expect((await check(oidc({ ...settings, preset: 'github-actions', singleUse: false }))).definition).toMatchObject({ singleUse: false }) // prettier-ignore
  })
})

describe('refused definitions', () => {
  const key = jwkOf(ec.publicKey, { kid: 'a' })
  const cases: [string, AttestorSpec, string[]][] = [
    ['an empty audience', oidc({ audience: '' }), ['/audience']],
    ['no audience', omit(oidc(), 'audience'), ['/audience']],
    ['a foreign audience', oidc({ audience: 'https://other.example' }), ['/audience']],
    ['a login without ID tokens', oidc({ login: { scopes: ['groups'] } }), ['/login/scopes']],
    ['a login at a preset', omit(oidc({ preset: 'google', login: { scopes: ['openid'] } }), 'issuer'), ['/login']],
    ['an audience with a space', oidc({ audience: 'a b' }), ['/audience']],
    ['an issuer over http', oidc({ issuer: 'http://issuer.example' }), ['/issuer']],
    ['an issuer that is not a URL', oidc({ issuer: 'issuer.example' }), ['/issuer']],
    ['an issuer that is a file', oidc({ issuer: 'file:///etc/passwd' }), ['/issuer']],
    ['an issuer with a password', oidc({ issuer: 'https://a:b@issuer.example' }), ['/issuer']],
    ['an issuer with a query', oidc({ issuer: 'https://issuer.example?x=1' }), ['/issuer']],
    ['an empty issuer', oidc({ issuer: '' }), ['/issuer']],
    ['Purser itself', oidc({ issuer: 'https://purser.example.org' }), ['/issuer']],
    ['no issuer, without a preset that has one', omit(oidc({ preset: 'aws' }), 'issuer'), ['/issuer', '/issuer']],
    ['another issuer than Google’s', oidc({ preset: 'google' }), ['/issuer']],
    ['keys over http', oidc({ keys: { jwksUrl: 'http://issuer.example/keys' } }), ['/keys/jwksUrl']],
    ['a private key', oidc({ keys: { jwks: { keys: [key, jwkOf(ec.privateKey)] } } }), ['/keys/jwks/keys/1']],
    ['a weak key', oidc({ keys: { jwks: { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }] } } }), ['/keys/jwks/keys/0']],
    ['two keys of one id', oidc({ keys: { jwks: { keys: [key, { ...key, alg: 'ES256' }] } } }), ['/keys/jwks/keys/1/kid']],
    ['two keys without one', oidc({ keys: { jwks: { keys: [jwkOf(ec.publicKey), jwkOf(ec.publicKey)] } } }), ['/keys/jwks/keys/1/kid']],
    ['Purser’s own subtree', oidc({ spiffeIdPrefix: '/purser/x/' }), ['/spiffeIdPrefix']],
    ['a prefix with a way up', oidc({ spiffeIdPrefix: '/a/../b/' }), ['/spiffeIdPrefix']],
    ['a prefix without an end', oidc({ spiffeIdPrefix: '/a' }), ['/spiffeIdPrefix']],
    ['a name that is reserved as prefix', oidc({ name: 'purser' }), ['/spiffeIdPrefix']],
    ['everything at once', oidc({ audience: '', issuer: 'x', spiffeIdPrefix: 'x' }), ['/audience', '/issuer', '/spiffeIdPrefix']],
    ['a review without a server', omit(kube(), 'apiServer'), ['/apiServer']],
    ['no issuer', omit(kube(), 'issuer'), ['/issuer']],
    ['a server over http', kube({ apiServer: { ...apiServer, url: 'http://10.0.0.1' } }), ['/apiServer/url']],
    ['a server with a password', kube({ apiServer: { ...apiServer, url: 'https://a:b@10.0.0.1' } }), ['/apiServer/url']],
    ['an invalid CA', kube({ apiServer: { ...apiServer, caPem: 'x' } }), ['/apiServer/caPem']],
    ['a CA that is broken', kube({ apiServer: { ...apiServer, caPem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' } }), ['/apiServer/caPem']],
    ['a CA with its key', kube({ apiServer: { ...apiServer, caPem: ids.ca + ids.good.key } }), ['/apiServer/caPem']],
    ['Purser’s own JWT, which is for later', kube({ apiServer: { url: apiServer.url, caPem: ids.ca, auth: 'purser-jwt' } }), ['/apiServer/auth']],
    ['a token file with a way up', kube({ apiServer: { ...apiServer, tokenFile: '/a/../etc/shadow' } }), ['/apiServer/tokenFile']],
    ['a token file somewhere', kube({ apiServer: { ...apiServer, tokenFile: 'token' } }), ['/apiServer/tokenFile']],
    ['our own account, for the asking', kube({ apiServer: { ...apiServer, tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' } }), ['/apiServer/tokenFile']],
    ['the same, spelt otherwise', kube({ apiServer: { ...apiServer, tokenFile: '/run/secrets/kubernetes.io//serviceaccount/token' } }), ['/apiServer/tokenFile', '/apiServer/tokenFile']],
  ] // prettier-ignore
  it.each(cases)('%s', async (_, spec, pointers) => {
    expect(await faults(spec)).toEqual(['impossible', ...pointers])
  })

  it.each([cluster, 'https://kubernetes.default.svc', 'kubernetes.default.svc', 'https://kubernetes.default.svc.cluster.local', 'kubernetes', 'https://kubernetes.default'])(
    '%s as audience: every pod holds a token for it',
    async (own) => {
      const world = { attestors: new Map(), issuer: 'https://purser.example.org' }
      const result = checkDefinition(kube({ audience: own }), world, { audiences: [own], readFile: async () => '' })
      await expect(result).rejects.toMatchObject({ code: 'impossible', info: { errors: [{ pointer: '/audience' }] } })
    },
  ) // prettier-ignore

  it('errors repeat no configured value', async () => {
    const secret = 'https://a:hunter2@issuer.example'
    const result = check(oidc({ issuer: secret, keys: { jwksUrl: secret } }))
    const failure = await result.catch((error: unknown) => JSON.stringify((error as Refusal).info))
    expect(failure).not.toContain('hunter2')
  })
})

describe('conflicts with other attestors', () => {
  const other = { id: 'att_2', name: 'other', kind: 'oidc', issuer, audience, spiffeIdPrefix: '/other/', definition: {}, revision: 1 } // prettier-ignore
  it('the pair of issuer and audience', async () => {
    expect(await faults(oidc(), { attestors: [other] })).toEqual(['conflict', '/issuer'])
    expect(await faults(oidc({ audience: 'purser' }), { attestors: [other] })).toEqual([])
    expect(await faults(oidc(), { attestors: [other], replacing: 'att_2' })).toEqual([])
  })
  it.each(['/other/', '/other/x/', '/'])('the subtree: %s', async (spiffeIdPrefix) => {
    const expected = spiffeIdPrefix === '/' ? ['impossible', '/spiffeIdPrefix'] : ['conflict', '/spiffeIdPrefix']
    expect(await faults(oidc({ audience: 'purser', spiffeIdPrefix }), { attestors: [other] })).toEqual(expected)
  })
  it('a subtree that contains it', async () => {
    const deep = { ...other, spiffeIdPrefix: '/lab/x/' }
    expect(await faults(oidc({ audience: 'purser' }), { attestors: [deep] })).toEqual(['conflict', '/spiffeIdPrefix'])
  })
  it('an unknown kind is a fault of Purser, not of the operator', async () => {
    await expect(check({ ...oidc(), kind: 'join-token' })).rejects.toThrow('no attestor of kind join-token')
    await expect(check({ ...oidc(), kind: 'constructor' })).rejects.toThrow('no attestor of kind constructor')
  })
})

describe('rules for entries', () => {
  const row = (kind: string, definition: Record<string, unknown> = {}): AttestorRow => ({
    id: 'a', name: 'a', kind, spiffeIdPrefix: '/a/', definition: { kind, ...definition }, revision: 1,
  }) // prettier-ignore
  const reports = (row: AttestorRow, ...keys: string[]) => keys.map((key) => attestorRules(row).reports(key))
  it('the possible facts', () => {
    expect(reports(row('kubernetes'), 'k8s:ns', 'k8s:sa-uid', 'k8s:label', 'oidc:sub', 'constructor')).toEqual([true, true, false, false, false]) // prettier-ignore
    expect(reports(row('oidc'), 'oidc:sub', 'oidc:x', 'github:ref', 'k8s:ns')).toEqual([true, true, false, false])
    expect(reports(row('oidc', { preset: 'github-actions' }), 'oidc:sub', 'github:ref', 'gitlab:ref')).toEqual([true, true, false]) // prettier-ignore
    expect(reports(row('join-token'), 'join:token', 'oidc:sub')).toEqual([true, false])
  })
  it('the conditions on them', () => {
    expect(['kubernetes', 'oidc', 'join-token'].map((kind) => attestorRules(row(kind)).matches)).toEqual(['selectors', 'selectors', 'token']) // prettier-ignore
  })
})
