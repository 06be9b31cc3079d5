import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../src/errors.ts'
import { parseQuery } from '../../src/http/query.ts'

const refusal = (url: string): string => {
  try {
    return `taken: ${JSON.stringify(parseQuery(url))}`
  } catch (error) {
    if (error instanceof Refusal) return error.code
    throw error
  }
}

describe('a query', () => {
  it.each([
    '%',
    '%z',
    '%zz',
    '%a',
    'x=%',
    'x=%ff',
    'x=%c0%80',
    'x=%ed%a0%80',
    '%e2%82=x',
    'a=1&b=%f8%88%80%80%80',
    'a=b c',
    'a=\u00e9',
  ])('that cannot be decoded is refused: %s', (query) => {
    expect(refusal(`/x?${query}`)).toBe('invalid_request')
  })

  it.each([
    ['/x', {}],
    ['/x?', {}],
    ['/x?&&', {}],
    ['/x?a', { a: '' }],
    ['/x?a=', { a: '' }],
    ['/x?=a', { '': 'a' }],
    ['/x?a=b=c', { a: 'b=c' }],
    ['/x?a=b+c%2B', { a: 'b c+' }],
    ['/x?a=1&a=2&a=3', { a: ['1', '2', '3'] }],
    ['/x?a=1?b=2', { a: '1?b=2' }],
  ])('is decoded once: %s', (url, expected) => {
    expect({ ...parseQuery(url) }).toEqual(expected)
  })

  it('reaches no prototype', () => {
    const query = parseQuery('/x?__proto__=1&__proto__=2&constructor=3')
    expect(Object.getPrototypeOf(query)).toBe(null)
    expect(Object.keys(query)).toEqual(['__proto__', 'constructor'])
    expect(Object.hasOwn(Object.prototype, '1')).toBe(false)
  })

  it('round-trips with URLSearchParams', () => {
    const text = fc.string({ unit: 'grapheme' })
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text)), (pairs) => {
        const expected = new Map<string, string[]>()
        for (const [name, value] of pairs) expected.set(name, [...(expected.get(name) ?? []), value])
        const query = parseQuery(`/x?${new URLSearchParams(pairs).toString()}`)
        const lists = Object.entries(query).map(([name, value]) => [name, Array.isArray(value) ? value : [value]])
        expect(new Map(lists as [string, string[]][])).toEqual(expected)
      }),
    )
  })
})
