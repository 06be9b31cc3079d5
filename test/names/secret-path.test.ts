import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NameError } from '../../src/names/errors.ts'
import {
  isPathSegment,
  matchPath,
  mayCoverUnder,
  parsePathPattern,
  parseSecretPath,
} from '../../src/names/secret-path.ts'

function codeOf(act: () => unknown): string {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (error instanceof NameError) return error.code
    throw error
  }
}

// Invalid as path and as literal part of a pattern: a client, a proxy or a database could normalize it to another path.
const hostile = [
  '', '/', '//', '/a', 'a/', 'a//b', '.', '..', './a', '../a', 'a/.', 'a/..', 'a/../b', 'a/./b', '...//', 'a/..\\b', '..\\a', 'a\\b',
  '%2e%2e', 'a/%2e%2e/b', 'a%2fb', 'a%252fb', 'a%00', '%61', 'a%', '%u002e', 'a%c0%af', 'a;x=1', 'a;', 'a:b', 'a:rotate', 'a%3arotate', 'a?x', 'a#x', 'a%23', 'a&b', 'a=b', 'a+b', 'a~b', 'a@b', 'a,b', 'a!', 'a$', "a'", 'a"', 'a`', 'a(b)', 'a[0]', 'a{b}', '{k8s:ns}', 'a|b', 'a<b', 'a^',
  'A', 'Secret/a', 'aB', ' a', 'a ', 'a b', 'a\t', 'a\n', '\na', 'a\r', 'a\u0000', 'a\u0000b', 'é', 'e\u0301', 'ａ', 'а', '\u212a', 'ı', 'ß', 'a\u200b', 'a\u202eb', 'a\u2028', '\ufeffa', 'a／b', '․․', '\ud800', '\u007f',
  '__proto__', 'a/__proto__', 'a/__proto__/b', 'sys', 'auth', 'data', 'metadata', 'sys/seal', 'auth/token', 'data/a', 'metadata/a',
  'a'.repeat(513), Array.from({ length: 65 }, () => 'a').join('/'),
] // prettier-ignore

describe('secret paths', () => {
  test.each(hostile)('no: %j', (text) => {
    expect(codeOf(() => parseSecretPath(text))).toBe('bad_path')
  })

  test.each(['a/*', '*', '**', 'a/**', 'a*'])('a pattern is no path: %j', (text) => {
    expect(codeOf(() => parseSecretPath(text))).toBe('bad_path')
  })

  test.each(['a', 'prod/db/password', '0', '-', '_', '...', '..a', 'a..', 'a.b-c_d', 'x/sys', 'x/data', 'constructor', 'system', 'a'.repeat(512), Array.from({ length: 64 }, () => 'a').join('/')])(
    'yes: %j',
    (text) => {
      expect(parseSecretPath(text)).toEqual({ path: text, segments: text.split('/') })
    },
  ) // prettier-ignore
})

describe('patterns', () => {
  test.each([...hostile, 'a*', '*a', 'a*b', 'a/b*/c', '**/a', 'a/**/b', '***', 'a/***', 'a/**b', '**/**', '*/**/*', '+', 'a/+/c', '?', 'a/?', '!a', '[a]', '**/'])(
    'no: %j',
    (text) => {
      expect(codeOf(() => parsePathPattern(text))).toBe('bad_pattern')
    },
  ) // prettier-ignore

  test.each<[string, string[], boolean]>([
    ['a/b', ['a', 'b'], false],
    ['a/*', ['a', '*'], false],
    ['*/b', ['*', 'b'], false],
    ['a/**', ['a'], true],
    ['a/*/**', ['a', '*'], true],
    ['**', [], true],
  ])('yes: %s', (text, segments, subtree) => {
    expect(parsePathPattern(text)).toEqual({ text, segments, subtree })
  })

  test.each<[string, string, boolean]>([
    ['a/b', 'a/b', true],
    ['a/b', 'a', false],
    ['a/b', 'a/b/c', false],
    ['a/b', 'a/bc', false],
    ['a/*', 'a/b', true],
    ['a/*', 'a', false],
    ['a/*', 'a/b/c', false],
    ['a/*/c', 'a/b/c', true],
    ['a/*/c', 'a/b/d/c', false],
    ['a/*/c', 'a/c', false],
    ['*', 'a', true],
    ['*', 'a/b', false],
    ['a/**', 'a/b', true],
    ['a/**', 'a/b/c/d', true],
    ['a/**', 'a', false],
    ['a/**', 'ab', false],
    ['a/**', 'ab/c', false],
    ['a/*/**', 'a/b', false],
    ['a/*/**', 'a/b/c', true],
    ['**', 'a', true],
    ['**', 'a/b/c', true],
    ['a.c', 'abc', false],
  ])('%s over %s: %s', (pattern, path, covered) => {
    expect(matchPath(parsePathPattern(pattern), parseSecretPath(path))).toBe(covered)
  })

  // An independent implementation of the rules: a pattern as a recursive language of segment lists.
  function reference(pattern: readonly string[], path: readonly string[]): boolean {
    const [expected, ...restWanted] = pattern
    const [actual, ...restGiven] = path
    if (expected === undefined) return actual === undefined
    if (actual === undefined) return false
    if (expected === '**') return true
    return (expected === '*' || expected === actual) && reference(restWanted, restGiven)
  }

  test('agrees with the reference on 100,000 random pairs', () => {
    const word = fc.constantFrom('a', 'b', 'ab', 'a.b', '-')
    const pattern = fc.tuple(fc.array(fc.oneof(word, fc.constant('*')), { minLength: 1, maxLength: 5 }), fc.boolean()).map(([all, subtree]) => (subtree ? [...all, '**'] : all)) // prettier-ignore
    let covered = 0
    fc.assert(
      fc.property(pattern, fc.array(word, { minLength: 1, maxLength: 6 }), (pattern, path) => {
        const covers = reference(pattern, path)
        if (covers) covered++
        return matchPath(parsePathPattern(pattern.join('/')), parseSecretPath(path.join('/'))) === covers
      }),
      { numRuns: 100_000 },
    )
    expect(covered).toBeGreaterThan(1000)
  })

  test('a literal pattern covers exactly its own path', () => {
    const path = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', '_', '0'), minLength: 1, maxLength: 4 }).filter(isPathSegment), { minLength: 1, maxLength: 4 }) // prettier-ignore
    fc.assert(
      fc.property(path, path, (a, b) => {
        expect(matchPath(parsePathPattern(a.join('/')), parseSecretPath(a.join('/')))).toBe(true)
        expect(matchPath(parsePathPattern(a.join('/')), parseSecretPath(b.join('/')))).toBe(a.join('/') === b.join('/'))
      }),
      { numRuns: 5000 },
    )
  })

  test('may cover a path under a prefix exactly when such a path exists', () => {
    const words = ['a', 'b', 'ab']
    const deeper = (texts: string[]): string[] => texts.flatMap((text) => words.map((word) => `${text}/${word}`))
    const paths = [words, deeper(words), deeper(deeper(words)), deeper(deeper(deeper(words)))]
      .flat()
      .map(parseSecretPath)
    const segments = fc.array(fc.constantFrom('a', 'b', 'ab', '*'), { minLength: 1, maxLength: 3 })
    const pattern = fc.tuple(segments, fc.boolean()).map(([all, subtree]) => (subtree ? [...all, '**'] : all).join('/'))
    const prefix = fc.tuple(fc.array(fc.constantFrom('a', 'b', 'ab', ''), { maxLength: 3 }), fc.boolean())
    fc.assert(
      fc.property(pattern, prefix, (text, [segments, whole]) => {
        const folder = segments.join('/') + (whole && segments.length > 0 ? '/' : '')
        const covers = parsePathPattern(text)
        const expected = paths.some((path) => path.path.startsWith(folder) && matchPath(covers, path))
        expect(mayCoverUnder(covers, folder), `${text} under ${folder}`).toBe(expected)
      }),
      { numRuns: 5000 },
    )
    expect(mayCoverUnder(parsePathPattern('**'), '/a') || mayCoverUnder(parsePathPattern('**'), 'A')).toBe(false)
  })
})
