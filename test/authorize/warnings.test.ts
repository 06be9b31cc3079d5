import { constantFrom, dictionary, oneof, property, assert, uniqueArray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { entryOf } from '../../src/authorize/entries.ts'
import type { WorkloadDefinition } from '../../src/authorize/grant.ts'
import { warningsFor } from '../../src/authorize/warnings.ts'
import { overlap } from '../../src/names/selectors.ts'
import { type Match, createSelectors, matches } from '../../src/names/selectors.ts'

const definition = (name: string, match: Match, more: Partial<WorkloadDefinition> = {}): WorkloadDefinition => ({
  name,
  attestor: 'lab',
  match,
  spiffeId: `spiffe://example.org/lab/${name}`,
  ...more,
})
const entry = (name: string, match: Match) =>
  entryOf({ id: name, name, attestorId: 'att_1', definition: definition(name, match), disabled: false, revision: 1 })
const codes = (definition: WorkloadDefinition, others: ReturnType<typeof entry>[] = []): string[] =>
  warningsFor(definition, others).map((warning) => warning.code)

describe('overlap', () => {
  const keys = constantFrom('k8s:ns', 'k8s:sa', 'k8s:node')
  const values = ['a', 'b', 'c']
  const value = constantFrom(...values)
  const match = dictionary(keys, oneof(value, constantFrom('*'), uniqueArray(value, { minLength: 1 })), { minKeys: 1 })

  it('exists exactly when some facts, each with one value, satisfy both', () => {
    const allFacts = [...values, 'd'].flatMap((ns) =>
      [...values, 'd'].flatMap((sa) =>
        [...values, 'd'].map((node) =>
          createSelectors(Object.entries({ 'k8s:ns': ns, 'k8s:sa': sa, 'k8s:node': node })),
        ),
      ),
    )
    assert(
      property(match, match, (a, b) => {
        const both = allFacts.some((facts) => matches(a, facts, true) && matches(b, facts, true))
        expect(overlap(a, b)).toBe(both)
        expect(overlap(b, a)).toBe(both)
      }),
    )
  })

  it('ignores conditions that every object satisfies', () => {
    expect(overlap({ 'k8s:ns': 'a' }, JSON.parse('{"__proto__":"b"}'))).toBe(true)
  })
})

describe('warnings', () => {
  it('name the entries that the same instance can match, and no others', () => {
    const others = [entry('all', { 'k8s:ns': 'prod' }), entry('api', { 'k8s:ns': 'prod', 'k8s:sa': 'api' })]
    const warnings = warningsFor(definition('web', { 'k8s:ns': 'prod', 'k8s:sa': 'web' }), others)
    expect(warnings.map((warning) => [warning.code, warning.workload])).toEqual([['overlaps', 'all']])
  })

  it('stay readable when hundreds overlap', () => {
    const others = Array.from({ length: 300 }, (_, n) => entry(`w${n}`, { 'k8s:ns': 'prod' }))
    const warnings = warningsFor(definition('web', { 'k8s:sa': 'web' }), others)
    expect(warnings).toHaveLength(21)
    expect(warnings.at(-1)?.detail).toBe('280 more entries overlap')
  })

  const google = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q'
  const idOf = (bytes: number): string => 'spiffe://example.org/lab/'.padEnd(bytes, 'x')

  it.each([
    [google, idOf(127), []],
    [google, idOf(128), ['subject_too_long']],
    [`https:${google}`, idOf(128), ['subject_too_long']],
    [google, `${idOf(60)}/{k8s:sa}`, []],
    [google, `${idOf(90)}/{k8s:sa}`, ['subject_too_long']],
    ['payments', idOf(1000), []],
    ['https://iam.googleapis.com.evil/', idOf(1000), []],
  ])('a subject at %s: %s', (audience, spiffeId, expected) => {
    expect(
      codes(definition('web', { 'k8s:ns': 'a' }, { spiffeId, grants: { jwt: { audiences: [audience] } } })),
    ).toEqual(expected)
  })

  it('state that Microsoft Entra verifies only RS256', () => {
    const codesFor = (alg?: 'RS256' | 'ES256') =>
      codes(
        definition(
          'web',
          { 'k8s:ns': 'a' },
          {
            grants: { jwt: { audiences: [{ audience: 'api://AzureADTokenExchange', ...(alg && { alg }) }] } },
          },
        ),
      )
    expect(codesFor()).toEqual(['needs_rs256'])
    expect(codesFor('ES256')).toEqual(['needs_rs256'])
    expect(codesFor('RS256')).toEqual([])
  })

  it('state what all workloads of a wide entry share, and what has no effect', () => {
    const grants = {
      x509: { dnsNames: ['web.prod'] },
      databases: ['orders'],
      operator: { role: 'operator' as const, bound: {} },
    }
    const wide = definition('all', { 'k8s:sa': '*' }, { wide: true, grants })
    expect(codes(wide)).toEqual(['shared', 'shared', 'shared'])
    expect(codes(definition('web', { 'k8s:sa': 'web' }, { grants: { x509: grants.x509 } }))).toEqual([])
    const idle = { operator: { role: 'admin' as const, paths: ['**'] } }
    expect(codes(definition('old', { 'k8s:sa': 'old' }, { grants: idle }))).toEqual(['no_effect'])
  })
})
