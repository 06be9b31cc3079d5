import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NameError } from '../../src/names/errors.ts'
import { createSelectors, explainMatch, selectorValue, isSelectorKey, isSelectorValue, matches, parseMatch, wildKeys } from '../../src/names/selectors.ts' // prettier-ignore
import type { Match, Selectors } from '../../src/names/selectors.ts'

function errorOf(act: () => unknown): [code: string, key: string | undefined] | 'accepted' {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (error instanceof NameError) return [error.code, error.key]
    throw error
  }
}

describe('keys and values', () => {
  test.each(['', 'ns', ':', 'k8s:', ':ns', 'K8S:ns', '8:ns', 'k8s ns:x', 'k8s:n s', 'k8s:{ns}', 'k8s:ns}', 'k8s:ns|lower', 'k8s:ns\n', 'k8s:é', 'k8s:\u0000', '__proto__', 'constructor', '_a:b', `k8s:${'a'.repeat(253)}`])(
    'no key: %j',
    (text) => {
      expect(isSelectorKey(text)).toBe(false)
    },
  ) // prettier-ignore

  test.each(['k8s:ns', 'k8s:sa-uid', 'oidc:sub', 'oidc:https://sts.amazonaws.com/tags', 'docker:label:com.example.team', 'github:repository-id', 'oidc:__proto__', 'oidc:a*b', `k8s:${'a'.repeat(252)}`])(
    'a key: %j',
    (text) => {
      expect(isSelectorKey(text)).toBe(true)
    },
  ) // prettier-ignore

  test.each(['', '\u0000', 'a\n', 'a\tb', '\u007f', '\u0085', 'a\u2028b', 'a\u202eb', '\u200fa', '\ufeff', '\ud800', 'a\udc00', 'a'.repeat(1025), 'é'.repeat(513), '😀'.repeat(257)])(
    'no value: %j',
    (text) => {
      expect(isSelectorValue(text)).toBe(false)
    },
  ) // prettier-ignore

  test.each([
    'a',
    '*',
    ' ',
    'repo:o/r:ref:refs/heads/main',
    '../..',
    'é',
    '😀',
    '__proto__',
    'a'.repeat(1024),
    'é'.repeat(512),
  ])('a value: %j', (text) => {
    expect(isSelectorValue(text)).toBe(true)
  })
})

describe('facts', () => {
  test('are stored unchanged, without a prototype', () => {
    const selectors = createSelectors([['k8s:ns', 'prod'], ['oidc:groups', ['a', 'b']], ['oidc:none', []]]) // prettier-ignore
    expect({ ...selectors }).toEqual({ 'k8s:ns': 'prod', 'oidc:groups': ['a', 'b'] })
    expect(Object.getPrototypeOf(selectors)).toBeNull()
    expect(JSON.stringify(selectors)).toBe('{"k8s:ns":"prod","oidc:groups":["a","b"]}')
    expect(selectorValue(selectors, 'toString')).toBeUndefined()
  })

  test('do not follow a later change of their claim', () => {
    const claim = ['a']
    const selectors = createSelectors([['oidc:groups', claim]])
    claim.push('admin')
    expect(selectorValue(selectors, 'oidc:groups')).toEqual(['a'])
  })

  test('are refused when a key or value breaks its rule, or a key occurs twice', () => {
    expect(errorOf(() => createSelectors([['ns', 'a']]))).toEqual(['bad_selector_key', undefined])
    expect(errorOf(() => createSelectors([['k8s:ns', '']]))).toEqual(['bad_selector_value', 'k8s:ns'])
    expect(errorOf(() => createSelectors([['oidc:g', ['a', 'b\n']]]))).toEqual(['bad_selector_value', 'oidc:g'])
    expect(errorOf(() => createSelectors([['oidc:g', Array.from({ length: 257 }, String)]]))).toEqual(['bad_selector_value', 'oidc:g']) // prettier-ignore
    expect(errorOf(() => createSelectors([['k8s:ns', 'a'], ['k8s:ns', 'b']]))).toEqual(['bad_selector_key', 'k8s:ns']) // prettier-ignore
  })
})

describe('the match of an operator', () => {
  test.each<[Match, boolean, string, string | undefined]>([
    [{}, false, 'bad_match', undefined],
    [{}, true, 'bad_match', undefined],
    [{ 'k8s:ns': '*' }, false, 'not_wide', 'k8s:ns'],
    [{ 'k8s:ns': ['*'] }, false, 'bad_match', 'k8s:ns'],
    [{ 'k8s:ns': ['a', '*'] }, true, 'bad_match', 'k8s:ns'],
    [{ 'k8s:ns': [] }, true, 'bad_match', 'k8s:ns'],
    [{ 'k8s:ns': '' }, true, 'bad_selector_value', 'k8s:ns'],
    [{ 'k8s:ns': ['a', ''] }, true, 'bad_selector_value', 'k8s:ns'],
    [{ ns: 'a' }, false, 'bad_selector_key', undefined],
    [{ constructor: 'a' }, false, 'bad_selector_key', undefined],
  ])('no: %j, wide %s', (match, wide, code, key) => {
    expect(errorOf(() => parseMatch(match, wide))).toEqual([code, key])
  })

  test('is stored unchanged', () => {
    const match = { 'k8s:ns': 'prod', 'k8s:sa': '*', 'oidc:g': ['a', 'b'] }
    expect({ ...parseMatch(match, true) }).toEqual(match)
    expect(wildKeys(parseMatch(match, true))).toEqual(['k8s:sa'])
  })
})

describe('matching', () => {
  const facts = createSelectors([['k8s:ns', 'prod'], ['k8s:sa', 'web'], ['oidc:groups', ['a', 'b']], ['oidc:star', '*']]) // prettier-ignore

  test.each<[Match, boolean, boolean]>([
    [{}, false, false],
    [{}, true, false],
    [{ 'k8s:ns': 'prod' }, false, true],
    [{ 'k8s:ns': 'Prod' }, false, false],
    [{ 'k8s:ns': 'pro' }, false, false],
    [{ 'k8s:ns': 'prod ' }, false, false],
    [{ 'k8s:ns': 'p*' }, false, false],
    [{ 'k8s:ns': 'prod', 'k8s:sa': 'db' }, false, false],
    [{ 'k8s:ns': 'prod', 'k8s:sa': 'web' }, false, true],
    [{ 'k8s:ns': ['dev', 'prod'] }, false, true],
    [{ 'k8s:ns': ['dev', 'test'] }, false, false],
    [{ 'k8s:ns': [] }, true, false],
    [{ 'k8s:ns': '*' }, true, true],
    [{ 'k8s:ns': '*' }, false, false],
    [{ 'k8s:ns': ['*'] }, true, false],
    [{ 'oidc:star': ['*'] }, false, true],
    [{ 'k8s:pod-uid': '*' }, true, false],
    [{ 'k8s:pod-uid': 'x' }, false, false],
    [{ 'oidc:groups': 'a' }, false, true],
    [{ 'oidc:groups': 'c' }, false, false],
    [{ 'oidc:groups': ['c', 'b'] }, false, true],
    [{ 'oidc:groups': 'a,b' }, false, false],
    [{ toString: 'x' }, false, false],
    [{ constructor: '*' }, true, false],
  ])('%j, wide %s: %s', (match, wide, expected) => {
    expect(matches(match, facts, wide)).toBe(expected)
    const conditions = explainMatch(match, facts, wide)
    expect(conditions.length > 0 && conditions.every(({ ok }) => ok)).toBe(expected)
  })

  test('facts inherit nothing from a prototype', () => {
    const plain: Selectors = { 'k8s:ns': 'prod' }
    expect(matches({ constructor: '*', 'k8s:ns': 'prod' }, plain, true)).toBe(false)
  })

  test('explain shows the expected and the actual value, also when none exists', () => {
    expect(explainMatch({ 'k8s:ns': ['dev', 'prod'], 'k8s:node': 'n1', 'k8s:sa': '*' }, facts, false)).toEqual([
      { key: 'k8s:ns', wanted: ['dev', 'prod'], found: 'prod', ok: true },
      { key: 'k8s:node', wanted: 'n1', ok: false },
      { key: 'k8s:sa', wanted: '*', found: 'web', ok: false },
    ])
  })

  // An independent implementation of the rules, with sets.
  function reference(match: Match, selectors: Selectors, wide: boolean): boolean {
    const facts = new Map(Object.entries(selectors).map(([key, value]) => [key, new Set([value].flat())]))
    const keys = Object.keys(match)
    if (keys.length === 0) return false
    for (const key of keys) {
      const have = facts.get(key) ?? new Set()
      const expected = match[key]
      if (expected === '*' && !wide) return false
      if (expected === '*' ? have.size === 0 : ![expected].flat().some((value) => have.has(value ?? ''))) return false
    }
    return true
  }

  test('agrees with the reference on 100,000 random pairs', () => {
    const key = fc.constantFrom('k8s:ns', 'k8s:sa', 'oidc:g')
    const word = fc.constantFrom('a', 'b', 'c', '*')
    const words = fc.array(word, { minLength: 1, maxLength: 3 })
    let hits = 0
    fc.assert(
      fc.property(fc.dictionary(key, fc.oneof(word, words)), fc.dictionary(key, fc.oneof(word, words)), fc.boolean(), (match, facts, wide) => {
        const selectors = createSelectors(Object.entries(facts))
        const expected = reference(match, selectors, wide)
        if (expected) hits++
        return matches(match, selectors, wide) === expected
      }),
      { numRuns: 100_000 },
    )
    expect(hits).toBeGreaterThan(1000)
  }) // prettier-ignore
})
