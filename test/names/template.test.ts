import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NameError } from '../../src/names/errors.ts'
import { matchPath, parsePathPattern, parseSecretPath } from '../../src/names/secret-path.ts'
import { createSelectors } from '../../src/names/selectors.ts'
import type { Selectors } from '../../src/names/selectors.ts'
import { parseSpiffeId } from '../../src/names/spiffe-id.ts'
import { keepsFactsApart, parseTemplate, render, templateKeys } from '../../src/names/template.ts'
import type { TemplateKind } from '../../src/names/template.ts'

function codeOf(act: () => unknown): string {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (error instanceof NameError) return error.code
    throw error
  }
}

const facts = createSelectors([['k8s:ns', 'prod'], ['k8s:sa', 'web'], ['oidc:groups', ['a']], ['oidc:sub', 'repo:o/r:ref']]) // prettier-ignore
const id = 'spiffe://example.org/prod-eu'

describe('refused templates', () => {
  test.each<[string, TemplateKind, string]>([
    [`${id}/{`, 'spiffe-id', 'bad_template'],
    [`${id}/}`, 'spiffe-id', 'bad_template'],
    [`${id}/{}`, 'spiffe-id', 'bad_template'],
    [`${id}/{ns}`, 'spiffe-id', 'bad_template'],
    [`${id}/{k8s:ns`, 'spiffe-id', 'bad_template'],
    [`${id}/{{k8s:ns}}`, 'spiffe-id', 'bad_template'],
    [`${id}/{k8s:ns}}`, 'spiffe-id', 'bad_template'],
    [`${id}/{ k8s:ns }`, 'spiffe-id', 'bad_template'],
    [`${id}/{k8s:ns|lower}`, 'spiffe-id', 'bad_template'],
    [`${id}/{k8s:ns default}`, 'spiffe-id', 'bad_template'],
    [`${id}/\${k8s:ns}?`, 'spiffe-id', 'bad_spiffe_id'],
    [`${id}/{k8s:ns}/`, 'spiffe-id', 'bad_spiffe_id'],
    [`${id}/a b/{k8s:ns}`, 'spiffe-id', 'bad_spiffe_id'],
    [`${id}/../{k8s:ns}`, 'spiffe-id', 'bad_spiffe_id'],
    ['{k8s:ns}', 'spiffe-id', 'bad_template'],
    ['spiffe://{k8s:ns}/a', 'spiffe-id', 'bad_template'],
    ['spiffe://example.org{k8s:ns}/a', 'spiffe-id', 'bad_template'],
    ['spiffe://example.org{k8s:ns}', 'spiffe-id', 'bad_template'],
    ['spiffe:/{k8s:ns}/example.org/a', 'spiffe-id', 'bad_template'],
    ['a/{k8s:ns}*', 'secret-pattern', 'bad_pattern'],
    ['a/**/{k8s:ns}', 'secret-pattern', 'bad_pattern'],
    ['A/{k8s:ns}', 'secret-pattern', 'bad_pattern'],
    ['/{k8s:ns}', 'secret-pattern', 'bad_pattern'],
    ['{k8s:ns}//a', 'secret-pattern', 'bad_pattern'],
    ['a\n{k8s:ns}', 'claim', 'bad_template'],
    ['{"a":{k8s:ns}}', 'claim', 'bad_template'],
    [`a${'{k8s:ns}'.repeat(17)}`, 'claim', 'bad_template'],
    ['a'.repeat(2049), 'claim', 'bad_template'],
    ['a'.repeat(1025), 'claim', 'bad_template'],
  ])('%j as %s: %s', (text, kind, code) => {
    expect(codeOf(() => parseTemplate(text, kind))).toBe(code)
  })
})

describe('rendering', () => {
  test.each<[string, TemplateKind, string]>([
    [`${id}/ns/{k8s:ns}/sa/{k8s:sa}`, 'spiffe-id', `${id}/ns/prod/sa/web`],
    [`${id}/{k8s:ns}-{k8s:sa}.v1`, 'spiffe-id', `${id}/prod-web.v1`],
    [`${id}/web`, 'spiffe-id', `${id}/web`],
    ['{k8s:ns}/web-{k8s:sa}/*/**', 'secret-pattern', 'prod/web-web/*/**'],
    ['ns {k8s:ns}: {oidc:sub}', 'claim', 'ns prod: repo:o/r:ref'],
    ['', 'claim', ''],
  ])('%s as %s', (text, kind, expected) => {
    expect(render(parseTemplate(text, kind), facts)).toBe(expected)
  })

  test.each<[string, TemplateKind, string]>([
    [`${id}/{k8s:node}`, 'spiffe-id', 'fact_missing'],
    [`${id}/{oidc:groups}`, 'spiffe-id', 'fact_has_many_values'],
    [`${id}/{oidc:sub}`, 'spiffe-id', 'fact_not_plain'],
    ['a/{k8s:node}', 'secret-pattern', 'fact_missing'],
    ['a/{oidc:groups}', 'secret-pattern', 'fact_has_many_values'],
    ['a/{oidc:sub}/**', 'secret-pattern', 'fact_not_plain'],
    ['{k8s:node}', 'claim', 'fact_missing'],
    ['{oidc:groups}', 'claim', 'fact_has_many_values'],
  ])('refused: %s as %s: %s', (text, kind, code) => {
    expect(codeOf(() => render(parseTemplate(text, kind), facts))).toBe(code)
  })

  test('each value must be plain by itself, not only the result', () => {
    const with_ = (value: string) => createSelectors([['k8s:ns', value]])
    for (const value of [
      '.',
      '..',
      '*',
      '**',
      '+',
      '/',
      'a/b',
      '../../admin',
      'a%2fb',
      'a b',
      'a,b',
      'é',
      'a\\b',
      'a:b',
      '{k8s:sa}',
    ]) {
      for (const text of [`${id}/x{k8s:ns}x`, `${id}/{k8s:ns}`]) expect(codeOf(() => render(parseTemplate(text, 'spiffe-id'), with_(value)))).toBe('fact_not_plain') // prettier-ignore
      for (const text of ['a/x{k8s:ns}x/**', 'a/{k8s:ns}']) expect(codeOf(() => render(parseTemplate(text, 'secret-pattern'), with_(value)))).toBe('fact_not_plain') // prettier-ignore
    }
    expect(codeOf(() => render(parseTemplate('a/{k8s:ns}', 'secret-pattern'), with_('Prod')))).toBe('fact_not_plain')
    expect(codeOf(() => render(parseTemplate('{k8s:ns}/a', 'secret-pattern'), with_('sys')))).toBe('bad_pattern')
  })

  test('the result is checked again: too long, or two facts that together make dots', () => {
    const long = createSelectors([['k8s:ns', 'a'.repeat(1000)], ['k8s:sa', 'a'.repeat(1000)]]) // prettier-ignore
    const text = `${id}/{k8s:ns}/{k8s:sa}/{k8s:ns}`
    expect(codeOf(() => render(parseTemplate(text, 'spiffe-id'), long))).toBe('bad_spiffe_id')
    expect(codeOf(() => render(parseTemplate('a/{k8s:ns}', 'secret-pattern'), long))).toBe('bad_pattern')
    expect(codeOf(() => render(parseTemplate('{k8s:ns}{k8s:sa}', 'claim'), long))).toBe('bad_template')
    expect(codeOf(() => parseTemplate('a/{k8s:ns}', 'secret-pattern'))).toBe('accepted')
  })

  test('a value that looks like a placeholder is not looked up', () => {
    const nested = createSelectors([['k8s:ns', '{k8s:sa}'], ['k8s:sa', 'web']]) // prettier-ignore
    expect(render(parseTemplate('{k8s:ns}', 'claim'), nested)).toBe('{k8s:sa}')
    const dollars = createSelectors([['k8s:ns', '$&$1$$']])
    expect(render(parseTemplate('{k8s:ns}', 'claim'), dollars)).toBe('$&$1$$')
  })

  test('facts are never inherited', () => {
    const plain: Selectors = {}
    expect(codeOf(() => render({ kind: 'claim', text: '', parts: ['', 'constructor', ''] }, plain))).toBe(
      'fact_missing',
    )
  })

  test('each key is listed once', () => {
    expect(templateKeys(parseTemplate('a/{k8s:ns}/{k8s:sa}/{k8s:ns}', 'secret-pattern'))).toEqual(['k8s:ns', 'k8s:sa'])
    expect(templateKeys(parseTemplate('a/b', 'secret-pattern'))).toEqual([])
  })
})

describe('a fact becomes one literal segment or is refused, whatever it contains', () => {
  const spiffe = parseTemplate(`${id}/a/{k8s:ns}/b`, 'spiffe-id')
  const inside = parseTemplate(`${id}/a/w{k8s:ns}.x/b`, 'spiffe-id')
  const secret = parseTemplate('a/{k8s:ns}/b', 'secret-pattern')
  const subtree = parseTemplate('a/{k8s:ns}/**', 'secret-pattern')
  const other = parseSecretPath('a/other/b')

  // Half of the characters have a special meaning somewhere. The others are any code units, also lone surrogates.
  const unit = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('a', 'b', '0', '-', '_', '.', '..', '/', '*', '**', '%2e', '%2f', '\\', ',', ':', '{', '}', 'other') }, // prettier-ignore
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) },
  )
  const value = fc.array(unit, { maxLength: 4 }).map((all) => all.join(''))

  const hasSegments = ({ segments }: { segments: readonly string[] }, expected: string[]): boolean =>
    isDeepStrictEqual(segments, expected)

  test('over 100,000 random values', () => {
    let plain = 0
    fc.assert(
      fc.property(value, (text) => {
        const selectors: Selectors = { 'k8s:ns': text }
        // `expect` takes longer than this check.
        if (codeOf(() => render(spiffe, selectors)) === 'accepted') {
          plain++
          assert(hasSegments(parseSpiffeId(render(spiffe, selectors)), ['prod-eu', 'a', text, 'b']))
          assert(hasSegments(parseSpiffeId(render(inside, selectors)), ['prod-eu', 'a', `w${text}.x`, 'b']))
        } else assert(codeOf(() => render(inside, selectors)) === 'fact_not_plain')

        if (codeOf(() => render(secret, selectors)) === 'accepted') {
          const pattern = parsePathPattern(render(secret, selectors))
          assert(hasSegments(pattern, ['a', text, 'b']) && !pattern.subtree)
          assert(matchPath(pattern, other) === (text === 'other'))
          assert(matchPath(parsePathPattern(render(subtree, selectors)), other) === (text === 'other'))
        }
      }),
      { numRuns: 100_000 },
    )
    expect(plain).toBeGreaterThan(1000)
  })
})

describe('templates that keep different facts apart', () => {
  test.each<[string, TemplateKind, boolean]>([
    [`${id}/ns/{k8s:ns}/sa/{k8s:sa}`, 'spiffe-id', true],
    [`${id}/{aws:principal-tag:a/b}/x`, 'spiffe-id', true],
    [`${id}/web`, 'spiffe-id', true],
    [`${id}/{k8s:ns}-{k8s:sa}`, 'spiffe-id', false],
    [`${id}/ns-{k8s:ns}`, 'spiffe-id', false],
    [`${id}/{k8s:ns}.x/{k8s:sa}`, 'spiffe-id', false],
    ['{k8s:ns}/{k8s:sa}/**', 'secret-pattern', true],
    ['{k8s:ns}', 'secret-pattern', true],
    ['{k8s:ns}{k8s:sa}/**', 'secret-pattern', false],
    ['a/x{k8s:ns}', 'secret-pattern', false],
    ['ns {k8s:ns}:', 'claim', true],
    ['', 'claim', true],
    ['{k8s:ns}/{k8s:sa}', 'claim', false],
  ])('%s as %s: %s', (text, kind, expected) => {
    expect(keepsFactsApart(parseTemplate(text, kind))).toBe(expected)
  })
})
