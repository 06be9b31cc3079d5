/** `accept`: the SPIFFE IDs that a pattern accepts, whatever they look like. */
import type { Accept } from '@purser/sdk'
import { array, assert, property, stringMatching } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readAccept } from '../../sdk/src/identity/accept.ts'

const warnings: string[] = []
const accepts = (accept: Accept): ((spiffeId: string) => boolean) =>
  readAccept(accept, 'example.org', (warning) => warnings.push(warning))

describe('malformed patterns are refused', () => {
  test.each([
    [undefined],
    [null],
    [true],
    [{}],
    [''],
    ['*'],
    ['/*'],
    ['spiffe://example.org'],
    ['spiffe://example.org/'],
    ['spiffe://example.org*'],
    ['spiffe://example.org/web*'],
    ['spiffe://example.org/*/web'],
    ['spiffe://example.org/web/**'],
    ['spiffe://example.org/web/'],
    ['spiffe://example.org/../web'],
    ['spiffe://example.org//*'],
    ['spiffe://example.org/web?x'],
    ['spiffe://example.org/web%2f'],
    ['spiffe://example.org:443/web'],
    ['SPIFFE://example.org/web'],
    ['spiffe://Example.org/web'],
    ['spiffe://*/web'],
    ['https://example.org/web'],
    ['web.example.org'],
    ['spiffe://example.org/web\n'],
    ['spiffe://example.com/web'],
    ['spiffe://example.com/*'],
    ['spiffe://example.org.evil/*'],
    [['spiffe://example.org/web', 'spiffe://example.com/web']],
    [[undefined]],
    [['spiffe://example.org/web', 1]],
  ])('%j', (accept) => {
    expect(() => accepts(accept as never)).toThrow(expect.objectContaining({ code: 'bad_options' }))
  })
})

test('an empty list accepts no ID', () => {
  expect(accepts([])('spiffe://example.org/web')).toBe(false)
})

const segment = stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,8}$/)
const segments = array(segment, { minLength: 1, maxLength: 5 })
const spiffeId = (all: string[]): string => ['spiffe://example.org', ...all].join('/')

test('an ID accepts only itself', () => {
  assert(
    property(segments, segments, (first, second) => {
      expect(accepts(spiffeId(first))(spiffeId(second))).toBe(spiffeId(first) === spiffeId(second))
      expect(accepts([spiffeId(first), spiffeId(second)])(spiffeId(second))).toBe(true)
      expect(accepts(spiffeId(first))(`${spiffeId(first)}/x`)).toBe(false)
    }),
  )
})

test('a prefix accepts what is below it by whole segments, neither itself nor a mere textual prefix', () => {
  assert(
    property(segments, segments, segment, (above, below, more) => {
      const accept = accepts(`${spiffeId(above)}/*`)
      expect(accept(spiffeId([...above, ...below]))).toBe(true)
      expect(accept(spiffeId(above))).toBe(false)
      expect(accept(spiffeId(above) + more)).toBe(false)
      expect(accept(spiffeId(above).slice(0, -1))).toBe(false)
      expect(accept(spiffeId(below))).toBe(
        above.length < below.length && above.every((segment, n) => segment === below[n]),
      )
    }),
  )
  expect(accepts('spiffe://example.org/*')('spiffe://example.org/web')).toBe(true)
})

describe('a function', () => {
  test('accepts by true', () => {
    const accept = accepts((spiffeId) => spiffeId.endsWith('/web'))
    expect([accept('spiffe://example.org/web'), accept('spiffe://example.org/db')]).toEqual([true, false])
  })

  test.each([
    ['throws', () => expect.fail('oops')],
    ['is async', async () => true],
    ['rejects', () => Promise.reject(new Error('oops'))],
    ['answers 1', () => 1],
    ['answers text', () => 'yes'],
    ['answers nothing', () => undefined],
  ])('that %s accepts no ID, with a warning', (_, accept) => {
    warnings.length = 0
    expect(accepts(accept as never)('spiffe://example.org/web')).toBe(false)
    expect(warnings).toEqual([expect.stringContaining('spiffe://example.org/web')])
  })
})
