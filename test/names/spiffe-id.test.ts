import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NameError } from '../../src/names/errors.ts'
import { isReservedPath, isSpiffeSegment, isTrustDomain, parsePrefix, parseSpiffeId, pathUnder, prefixesOverlap } from '../../src/names/spiffe-id.ts' // prettier-ignore

function codeOf(act: () => unknown): string {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (error instanceof NameError) return error.code
    throw error
  }
}

const td = 'spiffe://example.org'

describe('no SPIFFE ID', () => {
  test.each([
    // The scheme, exactly
    '', 'example.org', '/a', 'spiffe:', 'spiffe:/', 'spiffe:/example.org/a', 'spiffe:example.org', 'SPIFFE://example.org/a', 'Spiffe://example.org', 'https://example.org/a', 'xspiffe://example.org/a', ' spiffe://example.org', '\ufeffspiffe://example.org',
    // Empty segments, dots, trailing slashes
    `${td}/`, `${td}//`, `${td}//a`, `${td}/a/`, `${td}/a//b`, `${td}/.`, `${td}/..`, `${td}/a/.`, `${td}/a/..`, `${td}/a/../b`, `${td}/./a`, `${td}/../a`, `${td}/a/./b`,
    // Percent-encoding
    `${td}/%61`, `${td}/%2e%2e`, `${td}/%2E%2E/b`, `${td}/a%2fb`, `${td}/a%00`, `${td}/%`, `${td}/a%25`,
    // Characters of other URLs
    `${td}/a?`, `${td}/a?b=c`, `${td}/a#`, `${td}/a#b`, `${td}/a;b`, `${td}/a;x=1/b`, `${td}/a:b`, `${td}/a@b`, `${td}/a+b`, `${td}/a~b`, `${td}/a=b`, `${td}/a&b`, `${td}/a,b`, `${td}/a*`, `${td}/*`, `${td}/{k8s:ns}`, `${td}/a\\b`, `${td}/a"b`, `${td}/a'b`, `${td}/a|b`,
    // Characters that are stripped or folded elsewhere
    `${td}/a b`, `${td}/a\tb`, `${td}/a\nb`, `${td}/a\n`, `\n${td}/a`, `${td}/a\r`, `${td}/a `, `${td}/a\u0000`, `${td}/é`, `${td}/e\u0301`, `${td}/\u212a`, `${td}/\u017f`, `${td}/а`, `${td}/ａ`, `${td}/a\u202e`, `${td}/a\u200b`, `${td}/a\u2028`, `${td}/\ud800`, `${td}/a／b`, `${td}/․․`,
  ])('%j', (text) => {
    expect(codeOf(() => parseSpiffeId(text))).toBe('bad_spiffe_id')
  }) // prettier-ignore

  test.each([
    'spiffe://', 'spiffe:///a', 'spiffe://Example.org/a', 'spiffe://EXAMPLE.ORG', 'spiffe://example.org:443/a', 'spiffe://example.org:', 'spiffe://user@example.org/a', 'spiffe://user:pass@example.org/a', 'spiffe://@example.org', 'spiffe://example.org?', 'spiffe://example.org?a', 'spiffe://example.org#', 'spiffe://example.org;x', 'spiffe://[::1]/a', 'spiffe://example%2eorg/a', 'spiffe://exämple.org', 'spiffe://\u212a/a', 'spiffe:// example.org', 'spiffe://example.org /a', 'spiffe://example.org\n/a', 'spiffe://example.org\t', 'spiffe://*/a', 'spiffe://{k8s:ns}/a', 'spiffe://a,b', 'spiffe://example.org\\a', `spiffe://${'a'.repeat(256)}`,
  ])('no trust domain: %j', (text) => {
    expect(codeOf(() => parseSpiffeId(text))).toBe('bad_trust_domain')
  }) // prettier-ignore

  test('length: 2,048 passes, one more does not; the trust domain 255', () => {
    const fill = (length: number) => `${td}/${'a'.repeat(length - td.length - 1)}`
    expect(parseSpiffeId(fill(2048)).id.length).toBe(2048)
    expect(codeOf(() => parseSpiffeId(fill(2049)))).toBe('bad_spiffe_id')
    expect(parseSpiffeId(`spiffe://${'a'.repeat(255)}`).trustDomain.length).toBe(255)
  })

  test('the error contains nothing of the value', () => {
    expect(() => parseSpiffeId(`${td}/hunter2?`)).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hunter2') })) // prettier-ignore
  })
})

describe('a SPIFFE ID', () => {
  test('is parsed and not changed', () => {
    expect(parseSpiffeId('spiffe://example.org/prod-eu/ns/Prod/sa/web.v1_2-x')).toEqual({
      id: 'spiffe://example.org/prod-eu/ns/Prod/sa/web.v1_2-x',
      trustDomain: 'example.org',
      path: '/prod-eu/ns/Prod/sa/web.v1_2-x',
      segments: ['prod-eu', 'ns', 'Prod', 'sa', 'web.v1_2-x'],
    })
    expect(parseSpiffeId(td)).toEqual({ id: td, trustDomain: 'example.org', path: '', segments: [] })
  })

  test.each([
    'spiffe://10.0.0.1/a',
    'spiffe://a_b/c',
    `${td}/...`,
    `${td}/..a`,
    `${td}/.a`,
    `${td}/a..`,
    `${td}/-`,
    `${td}/_`,
    `${td}/.../..b`,
  ])('legal: %s', (text) => {
    expect(parseSpiffeId(text).id).toBe(text)
  })

  test('agrees with a regular expression of the SPIFFE ID specification for any text', () => {
    const rule = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*)$/
    const piece = fc.constantFrom(
      'spiffe://',
      '/',
      '.',
      '..',
      'a',
      'B',
      '-',
      '%2e',
      '?',
      '#',
      ':',
      '@',
      '\n',
      'é',
      '*',
      ' ',
    )
    const text = fc.oneof(fc.array(piece, { maxLength: 8 }).map((all) => all.join('')), fc.array(piece, { maxLength: 8 }).map((all) => `${td}${all.join('')}`)) // prettier-ignore
    fc.assert(
      fc.property(text, (id) => {
        expect(codeOf(() => parseSpiffeId(id)) === 'accepted').toBe(rule.test(id))
      }),
      { numRuns: 20_000 },
    )
  })

  test('a segment stays a segment when it is put into a path', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii', maxLength: 4 }), (text) => {
        if (isSpiffeSegment(text)) expect(parseSpiffeId(`${td}/a/${text}/b`).segments).toEqual(['a', text, 'b'])
        else expect(codeOf(() => parseSpiffeId(`${td}/a/${text}/b`)) === 'accepted').toBe(text.split('/').every(isSpiffeSegment)) // prettier-ignore
      }),
      { numRuns: 5000 },
    )
  })
})

describe('trust domains', () => {
  test.each(['', 'A', 'a b', 'a/b', 'a:1', 'a\n', 'ä', 'a'.repeat(256)])('no: %j', (text) => {
    expect(isTrustDomain(text)).toBe(false)
  })
  test.each(['a', 'example.org', 'x_y-z.0', '10.0.0.1'])('yes: %j', (text) => {
    expect(isTrustDomain(text)).toBe(true)
  })
})

describe('prefixes', () => {
  test.each(['', '/', '//', 'a', '/a', 'a/', '/a//', '//a/', '/a//b/', '/./', '/../', '/a/../', '/a b/', '/a%2f/', '/a\n/', '/a/\n', '/é/', '/*/', '/purser/', '/purser/a/', `/${'a'.repeat(511)}/`])(
    'no: %j',
    (text) => {
      expect(codeOf(() => parsePrefix(text))).toBe('bad_prefix')
    },
  ) // prettier-ignore

  test.each(['/a/', '/prod-eu/', '/a/b/', '/Purser/', '/purser2/', '/a/purser/'])('yes: %j', (text) => {
    expect(parsePrefix(text)).toBe(text)
  })

  test('overlap is containment, either way, of whole segments', () => {
    expect(prefixesOverlap('/a/', '/a/')).toBe(true)
    expect(prefixesOverlap('/a/', '/a/b/')).toBe(true)
    expect(prefixesOverlap('/a/b/', '/a/')).toBe(true)
    expect(prefixesOverlap('/a/', '/ab/')).toBe(false)
    expect(prefixesOverlap('/a/b/', '/a/c/')).toBe(false)
  })

  test('two prefixes that do not overlap share no ID', () => {
    const prefix = fc
      .array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 3 })
      .map((all) => `/${all.join('/')}/`)
    const path = fc
      .array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 5 })
      .map((all) => `/${all.join('/')}`)
    fc.assert(
      fc.property(prefix, prefix, path, (a, b, id) => {
        if (pathUnder(a, id) && pathUnder(b, id)) expect(prefixesOverlap(a, b)).toBe(true)
      }),
      { numRuns: 5000 },
    )
  })

  test('below means below: neither beside nor equal', () => {
    expect(pathUnder('/prod/', '/prod/web')).toBe(true)
    expect(pathUnder('/prod/', '/prod/ns/a')).toBe(true)
    for (const path of ['', '/', '/prod', '/prod/', '/production/web', '/Prod/web', '/x/prod/web'])
      expect(pathUnder('/prod/', path)).toBe(false)
  })

  test('Purser reserves its own paths', () => {
    for (const path of ['/purser', '/purser/server', '/purser/a/b']) expect(isReservedPath(path)).toBe(true)
    for (const path of ['', '/purser2', '/a/purser', '/Purser/x']) expect(isReservedPath(path)).toBe(false)
  })
})
