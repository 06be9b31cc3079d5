import { describe, expect, it } from 'vitest'
import { checkWorkload } from '../../src/authorize/check-definition.ts'
import type { AttestorRules, OwnRules } from '../../src/authorize/entry-rules.ts'
import type { WorkloadDefinition } from '../../src/authorize/grant.ts'

const own: OwnRules = {
  trustDomain: 'example.org',
  names: new Set(['purser.example.org', 'localhost']),
  audiences: new Set(['https://purser.example.org', 'purser']),
  claims: new Set(['sub', 'aud', '__proto__']),
  max: { x509: 86_400, jwt: 3_600 },
}
const facts = new Set(['k8s:ns', 'k8s:sa', 'k8s:pod-uid'])
const cluster: AttestorRules = {
  spiffeIdPrefix: '/prod-eu/',
  matches: 'selectors',
  reports: (key) => facts.has(key),
  tooWide: () => undefined,
  wideForOperators: () => undefined,
}
const join: AttestorRules = { ...cluster, spiffeIdPrefix: '/join/', matches: 'token', reports: () => false }
const web: WorkloadDefinition = {
  name: 'web',
  attestor: 'prod-eu',
  match: { 'k8s:ns': 'prod', 'k8s:sa': 'web' },
  spiffeId: 'spiffe://example.org/prod-eu/ns/prod/sa/web',
}

const pointers = (change: Partial<WorkloadDefinition>, attestor = cluster): string[] =>
  (checkWorkload({ ...web, ...change }, attestor, own)?.errors ?? []).map((error) => error.pointer)
const code = (change: Partial<WorkloadDefinition>, attestor = cluster): string | undefined =>
  checkWorkload({ ...web, ...change }, attestor, own)?.code

describe('the workloads that an entry matches', () => {
  const { match: _, ...withoutMatch } = web

  it('refuses an entry that matches everything, and accepts it for the attestor whose proofs name their entry', () => {
    expect(checkWorkload(withoutMatch, cluster, own)).toMatchObject({
      code: 'match_too_wide',
      errors: [{ pointer: '/match' }],
    })
    expect(pointers({ match: {} })).toEqual(['/match'])
    const agent = { ...withoutMatch, spiffeId: 'spiffe://example.org/join/agent' }
    expect(checkWorkload(agent, join, own)).toBeUndefined()
    expect(checkWorkload({ ...agent, match: { 'k8s:ns': 'a' } }, join, own)?.errors[0]?.pointer).toBe('/match')
  })

  it('refuses "*" in an entry that is not wide, also among others', () => {
    expect(code({ match: { 'k8s:ns': 'prod', 'k8s:sa': '*' } })).toBe('match_too_wide')
    expect(pointers({ match: { 'k8s:sa': ['web', '*'] } })).toEqual(['/match/k8s:sa'])
  })

  it('requires a key that may match any value in the SPIFFE ID and in every secret path', () => {
    const wide = { match: { 'k8s:ns': 'prod', 'k8s:sa': '*' }, wide: true }
    expect(pointers(wide)).toEqual(['/spiffeId'])
    expect(code(wide)).toBe('match_too_wide')
    const spiffeId = 'spiffe://example.org/prod-eu/ns/prod/sa/{k8s:sa}'
    expect(pointers({ ...wide, spiffeId })).toEqual([])
    const secrets = [{ paths: ['prod/{k8s:sa}/**', 'prod/shared/*'], actions: ['read' as const] }]
    expect(pointers({ ...wide, spiffeId, grants: { secrets } })).toEqual(['/grants/secrets/0/paths/1'])
  })

  it('requires the conditions that the attestor declares', () => {
    const preset: AttestorRules = { ...cluster, tooWide: (match) => ('k8s:sa' in match ? undefined : 'ask for k8s:sa') }
    expect(pointers({ match: { 'k8s:ns': 'prod' } }, preset)).toEqual(['/match'])
    expect(code({ match: { 'k8s:ns': 'prod' } }, preset)).toBe('match_too_wide')
    expect(pointers({}, preset)).toEqual([])
  })

  it('refuses facts that the attestor never reports, in the match and in each template', () => {
    expect(pointers({ match: { 'k8s:namespace': 'prod' } })).toEqual(['/match/k8s:namespace'])
    expect(pointers({ spiffeId: 'spiffe://example.org/prod-eu/{k8s:serviceaccount}' })).toEqual(['/spiffeId'])
    const audiences = [{ audience: 'a', claims: { ns: '{k8s:nss}', ok: '{k8s:ns}' } }]
    expect(pointers({ grants: { jwt: { audiences } } })).toEqual(['/grants/jwt/audiences/0/claims/ns'])
  })

  it.each([
    ['prod\nevil', 'a line end'],
    ['\u202eprod', 'a direction mark'],
    ['a'.repeat(1025), 'too long'],
  ])('refuses the value %j (%s)', (value) => {
    expect(pointers({ match: { 'k8s:ns': value } })).toEqual(['/match/k8s:ns'])
  })
})

describe('the SPIFFE ID', () => {
  it.each([
    ['spiffe://other.org/prod-eu/web', 'another trust domain'],
    ['spiffe://example.org.evil/prod-eu/web', 'a longer trust domain'],
    ['spiffe://Example.org/prod-eu/web', 'capitals'],
    ['SPIFFE://example.org/prod-eu/web', 'a scheme in capitals'],
    ['spiffe://example.org:443/prod-eu/web', 'a port'],
    ['spiffe://user@example.org/prod-eu/web', 'a user'],
    ['spiffe://example.org/prod-eu/web?x', 'a query'],
    ['spiffe://example.org/prod-eu/web#x', 'a fragment'],
    ['spiffe://example.org/prod-eu/%2e%2e/web', 'percent-encoding'],
    ['spiffe://example.org/prod-eu/../other/web', 'a dot segment'],
    ['spiffe://example.org/prod-eu//web', 'an empty segment'],
    ['spiffe://example.org/prod-eu/web/', 'a trailing slash'],
    ['spiffe://example.org/prod-eu/', 'no segment below the prefix'],
    ['spiffe://example.org/prod-eu', 'the prefix itself'],
    ['spiffe://example.org/prod-europe/web', 'a prefix that only begins alike'],
    ['spiffe://example.org/prod-us/web', "another attestor's subtree"],
    ['spiffe://example.org/{k8s:ns}/web', 'a fact where the prefix must stand'],
    ['spiffe://example.org/prod-eu{k8s:ns}/web', 'a fact that ends the prefix'],
    ['spiffe://{k8s:ns}/prod-eu/web', 'a fact as trust domain'],
    ['spiffe://example.org/prod-eu/{k8s:ns', 'an open brace'],
    ['spiffe://example.org/prod-eu/{}', 'an empty placeholder'],
    ['spiffe://example.org/prod-eu/\u212aey', 'a Kelvin sign'],
    ['spiffe://example.org/prod-eu/web\n', 'a line end'],
  ])('%s is refused (%s)', (spiffeId) => {
    expect(pointers({ spiffeId })).toContain('/spiffeId')
  })

  it("refuses Purser's own subtree, even if an attestor covered it", () => {
    const rogue = { ...cluster, spiffeIdPrefix: '/' }
    expect(pointers({ spiffeId: 'spiffe://example.org/purser/server' }, rogue)).toEqual(['/spiffeId'])
  })
})

describe('the grants of an entry', () => {
  it.each([
    ['purser.example.org', "Purser's own"],
    ['localhost', "Purser's own, too"],
    ['10.0.0.1', 'an address'],
    ['web.0x7f', 'an address to some'],
    ['*.prod.svc', 'a wildcard'],
    ['WEB.prod.svc', 'capitals'],
    ['web.prod.svc.', 'a trailing dot'],
    ['-web.prod', 'a hyphen first'],
    [`${'a'.repeat(64)}.prod`, 'a label that is too long'],
  ])('refuses the DNS name %s (%s)', (name) => {
    expect(pointers({ grants: { x509: { dnsNames: ['web.prod.svc', name] } } })).toEqual(['/grants/x509/dnsNames/1'])
  })

  it('refuses the addresses of Purser itself, and a repeated audience', () => {
    const audiences = ['payments', 'https://purser.example.org', { audience: 'purser' }, { audience: 'payments' }]
    expect(pointers({ grants: { jwt: { audiences } } })).toEqual([
      '/grants/jwt/audiences/1',
      '/grants/jwt/audiences/2',
      '/grants/jwt/audiences/3',
    ])
  })

  it('refuses reserved claims, and values that no claim can have', () => {
    const claims: Record<string, string> = JSON.parse('{"sub":"x","__proto__":"x","a/b~c":"{","ok":"{k8s:ns}"}')
    expect(pointers({ grants: { jwt: { audiences: [{ audience: 'a', claims }] } } })).toEqual([
      '/grants/jwt/audiences/0/claims/sub',
      '/grants/jwt/audiences/0/claims/__proto__',
      '/grants/jwt/audiences/0/claims/a~1b~0c',
    ])
  })

  it('refuses lifetimes beyond what keys allow, and accepts the longest', () => {
    expect(
      pointers({ grants: { x509: { maxLifetimeSeconds: 86_401 }, jwt: { audiences: [], maxLifetimeSeconds: 3_601 } } }),
    ).toEqual(['/grants/x509/maxLifetimeSeconds', '/grants/jwt/maxLifetimeSeconds'])
    expect(
      pointers({ grants: { x509: { maxLifetimeSeconds: 86_400 }, jwt: { audiences: [], maxLifetimeSeconds: 3_600 } } }),
    ).toEqual([])
  })

  it("refuses the default lifetimes when the server's limits are below them", () => {
    const short = { ...own, max: { x509: 600, jwt: 60 } }
    const grants = { x509: {}, jwt: { audiences: [] } }
    expect(checkWorkload({ ...web, grants }, cluster, short)?.errors.map((error) => error.pointer)).toEqual([
      '/grants/x509/maxLifetimeSeconds',
      '/grants/jwt/maxLifetimeSeconds',
    ])
    expect(checkWorkload(web, cluster, short)).toBeUndefined()
  })

  it('reads secret paths', () => {
    const paths = ['prod/**', 'sys/x', 'a//b', 'prod/../x', 'a*/b', '**/x', '{k8s:ns}/*', '{k8s:ns}x/*', 'A/b']
    expect(pointers({ grants: { secrets: [{ paths, actions: ['read' as const] }] } })).toEqual(
      [1, 2, 3, 4, 5, 7, 8].map((n) => `/grants/secrets/0/paths/${n}`),
    )
  })

  it("refuses an operator's rights without a bound, or with members of earlier versions or faults", () => {
    const of = (operator: object) => pointers({ grants: { operator: { role: 'operator' as const, ...operator } } })
    expect(of({})).toEqual(['/grants/operator'])
    expect(of({ paths: ['a/**'], attestors: [] })).toEqual([
      '/grants/operator',
      '/grants/operator/paths',
      '/grants/operator/attestors',
    ])
    expect(of({ bound: {}, paths: [] })).toEqual(['/grants/operator/paths'])
    expect(of({ bound: { secretPrefix: 'a', dnsSuffixes: ['svc', '*'] } })).toEqual([
      '/grants/operator/bound/secretPrefix',
      '/grants/operator/bound/dnsSuffixes/1',
    ])
    expect(of({ bound: {} })).toEqual([])
    expect(of({ bound: 'everything' })).toEqual([])
  })
})

it('reports all faults at once, and never the value', () => {
  const refusal = checkWorkload(
    {
      ...web,
      match: { 'k8s:ns': '*', 'k8s:what': 'secret-value' },
      spiffeId: 'spiffe://wrong.example/x',
      grants: { x509: { dnsNames: ['Secret-Value'], maxLifetimeSeconds: 1e9 }, jwt: { audiences: ['purser'] } },
    },
    cluster,
    own,
  )
  expect(refusal?.code).toBe('impossible')
  expect(refusal?.errors.map((error) => error.pointer)).toEqual([
    '/match/k8s:ns',
    '/match/k8s:what',
    '/spiffeId',
    '/spiffeId',
    '/grants/x509/dnsNames/0',
    '/grants/x509/maxLifetimeSeconds',
    '/grants/jwt/audiences/0',
  ])
  expect(JSON.stringify(refusal)).not.toMatch(/secret-value|wrong\.example/i)
})

it('holds at most as many problems as a reply may', () => {
  const dnsNames = Array.from({ length: 64 }, (_, n) => `Bad${n}`)
  expect(checkWorkload({ ...web, grants: { x509: { dnsNames } } }, cluster, own)?.errors).toHaveLength(20)
})
