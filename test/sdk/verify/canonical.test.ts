import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalize, parseCanonical } from '@purser/sdk/verify'

const notCanonical = expect.objectContaining({ code: 'not_canonical' })

describe('canonicalize', () => {
  it.each([
    ['NaN', Number.NaN],
    ['an infinity', [-Infinity]],
    ['a BigInt', { a: 1n }],
    ['a function', { a: () => 1 }],
    ['a symbol', Symbol('s')],
    ['undefined', undefined],
    ['undefined in an array', [undefined]],
    ['a hole in an array', Array.from({ length: 3 }).fill(1, 1)],
    ['a lone surrogate', { a: ['\ud800'] }],
    ['a lone surrogate as a name', { '\udc00x': 1 }],
    ['a Date', new Date(0)],
    ['a Map', new Map()],
    ['a Buffer', { a: Buffer.from('a') }],
  ])('refuses %s', (_, value) => {
    expect(() => canonicalize(value)).toThrow(notCanonical)
  })

  it('refuses a cyclic or too deep value instead of running out of stack', () => {
    const loop: unknown[] = []
    loop.push(loop)
    expect(() => canonicalize(loop)).toThrow(notCanonical)
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i++) deep = [deep]
    expect(() => canonicalize(deep)).toThrow(notCanonical)
  })

  it('writes the example of RFC 8785 §3.2.2', () => {
    const example: unknown = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`)
    expect(canonicalize(example)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
  })

  it('sorts names by UTF-16 code units (the example of RFC 8785 §3.2.3)', () => {
    const names = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6']
    const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33']
    const text = canonicalize(Object.fromEntries(names.map((name) => [name, 0])))
    expect(text).toBe(`{${sorted.map((name) => `${JSON.stringify(name)}:0`).join(',')}}`)
  })

  it('leaves out undefined members, and keeps the name __proto__', () => {
    expect(canonicalize({ b: undefined, a: 1 })).toBe('{"a":1}')
    expect(canonicalize(JSON.parse('{"__proto__":1,"a":-0}'))).toBe('{"__proto__":1,"a":0}')
  })

  it('writes one text for a value, whatever the order of its members', () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: 'medium' }), (value) => {
        const text = canonicalize(value)
        expect(canonicalize(JSON.parse(text))).toBe(text)
        expect(canonicalize(reversed(value))).toBe(text)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, member]) => [name, reversed(member)]),
  )
}

describe('parseCanonical', () => {
  it.each(['', '{', '[]', '"a"', 'null', '1', '{"a":1 }', '{"b":1,"a":2}', '{"a":1,"a":1}', '{"a":1.0}', '{"a":-0}'])(
    'refuses %s',
    (text) => {
      expect(() => parseCanonical(text)).toThrow(notCanonical)
    },
  )

  it.each(['{"a":1e400}', '{"a":"\\u0041"}', '{"a":"\\ud800"}', '\ufeff{}', '{"a":"\\/"}', '{}\n'])(
    'refuses %j: another text for the same value',
    (text) => {
      expect(() => parseCanonical(text)).toThrow(notCanonical)
    },
  )

  it('refuses a text of a million brackets', () => {
    expect(() => parseCanonical(`{"a":${'['.repeat(400_000)}${']'.repeat(400_000)}}`)).toThrow(notCanonical)
  })

  it('returns the value of a canonical text', () => {
    expect(parseCanonical('{"a":{"b":[1,"x",null]}}')).toEqual({ a: { b: [1, 'x', null] } })
  })
})
