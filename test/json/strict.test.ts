import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JsonError, parseStrict } from '../../src/json/strict.ts'
import type { JsonErrorCode, JsonLimits } from '../../src/json/strict.ts'

function codeOf(input: string | Uint8Array, limits?: JsonLimits): JsonErrorCode | 'accepted' {
  try {
    parseStrict(input, limits)
    return 'accepted'
  } catch (error) {
    if (error instanceof JsonError) return error.code
    throw error
  }
}

function errorOf(input: string | Uint8Array, limits?: JsonLimits): JsonError {
  try {
    parseStrict(input, limits)
  } catch (error) {
    if (error instanceof JsonError) return error
    throw error
  }
  throw new Error('accepted')
}

const bytes = (...values: (number | string)[]) =>
  Buffer.concat(values.map((value) => (typeof value === 'number' ? Buffer.of(value) : Buffer.from(value, 'latin1'))))

// The faults of JSONTestSuite's n_ files, and further ones.
const notJson = [
  '', ' ', '\n', '\t\r\n', '\u00a0', '\u2060', '\f', '\u3000[]', '[\u000b1]', '[\f]',
  '[', ']', '{', '}', '[[', '[]]', '[}', '{]', '[{]', '[[]', '[1', '[1,', '["a', '["a"', '["a",\n4\n,1,', '{"a"', '{"a":', '{"a":1', '{"a":1,', '[,',
  '[,1]', '[1,]', '[1,,2]', '["",]', '[1,,]', '[,]', '[,""]', '["a" "b"]', '[1 2]', '["a",,]', '[x', '[x]', '[a]', '[**]', '[*]', '[1]x', '[1]]', '[][]', '1 2', '"a" "b"',
  '{,}', '{"a":1,}', '{"a":1,,"b":2}', '{"a" "b"}', '{"a","b"}', '{"a"::1}', '{"a":1:2}', '{:1}', '{"a"}', '{1:1}', '{a:1}', "{'a':1}", "['a']", '{null:1}', '{[]:1}', '{"a":}', '{"a" b}', '{"a":1 "b":2}', '{"a":"b"}#', '{"a":1}{"b":2}',
  '[1:2]', '["":1]', '{"a":"b",/**/}', '/**/1', '[1]//', '{"a":/*c*/"b"}', '<null>', '<.>', '[<null>]', '#', '*', '&', '@',
  'tru', 'nul', 'fals', 'True', 'TRUE', 'Null', 'truth', 'nullx', '[tru]', '[nul]', '[fals]', 'undefined', '[undefined]',
  'NaN', '[NaN]', '[-NaN]', 'Infinity', '[Infinity]', '[-Infinity]', '[+Inf]', '[Inf]',
  '[+1]', '[++1]', '[--1]', '[-]', '[- 1]', '[-a]', '[-01]', '[01]', '[012]', '[-012]', '[00]', '[1.]', '[.1]', '[-.1]', '[.-1]', '[0.]', '[2.e3]', '[2.e+3]', '[2.e-3]', '[0.e1]', '[1e]', '[1e+]', '[1e-]', '[1E]', '[1E+]', '[0e]', '[0e+]', '[1ee2]', '[1e1.5]', '[1.2.3]', '[1 000.0]', '[0x1]', '[0x]', '[0x42]', '[1_000]', '[1+2]', '[1-2]', '[1a]', '[1.8011670033376514H]', '[\uff11]', '[0o7]', '[0b1]', '[1n]',
  '"', '"a', '["\\"]', '["\\', '["\\a"]', '["\\x00"]', '["\\v"]', '["\\0"]', "['\\'']", '["\\u"]', '["\\u1"]', '["\\u12"]', '["\\u123"]', '["\\u123', '["\\u00A"]', '["\\uqqqq"]', '["\\U0041"]', '["\\ud83d\\u"]', '["\\ud83d\\u1x"]', '["\\{}"]', '["\\ "]', '["\\\ud83c\udf00"]', '["\t"]', '["\n"]', '["\r"]', '["\u0000"]', '["\u001f"]', '\\u000A""', '[\\u000A""]', '[\\n]', '\\', '""x', '"\\u0022', '{"\\u"::1}', '{"a\\":1}',
  '\u0000', '[1\u0000]', '123\u0000', '[]\u0000', '{"a":\u0000}', '\u001b[0m', '[\ufeff]', '{"\n":1}',
] // prettier-ignore

describe('malformed JSON', () => {
  test('the list has the stated length', () => {
    expect(new Set(notJson).size).toBe(notJson.length)
    expect(notJson.length).toBeGreaterThanOrEqual(180)
  })

  test.each(notJson)('%j', (text) => {
    expect(codeOf(text)).toBe('syntax')
    expect(codeOf(Buffer.from(text, 'utf8'))).toBe('syntax')
  })
})

describe('bytes that are not UTF-8', () => {
  test.each<[string, Buffer]>([
    ['a lone continuation byte', bytes('["', 0x81, '"]')],
    ['a cut sequence', bytes('["', 0xe2, 0x82, '"]')],
    ['latin-1', bytes('["', 0xe9, '"]')],
    ['an overlong slash', bytes('["', 0xc0, 0xaf, '"]')],
    ['an overlong NUL', bytes('["', 0xe0, 0x80, 0x80, '"]')],
    ['an encoded surrogate', bytes('["', 0xed, 0xa0, 0x80, '"]')],
    ['a CESU pair', bytes('["', 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80, '"]')],
    ['beyond U+10FFFF', bytes('["', 0xf4, 0xbf, 0xbf, 0xbf, '"]')],
    ['an invalid byte outside a string', bytes('[', 0xff, ']')],
    ['UTF-16, little-endian, marked', bytes(0xff, 0xfe, '[', 0, ']', 0)],
    ['invalid in a name', bytes('{"', 0xb9, '":1}')],
  ])('%s', (_what, input) => {
    expect(codeOf(input)).toBe('not_utf8')
  })

  test.each<[string, string | Buffer]>([
    ['marked bytes', bytes(0xef, 0xbb, 0xbf, '{}')],
    ['a marked string', '\ufeff{}'],
    ['nothing but a mark', bytes(0xef, 0xbb, 0xbf)],
  ])('%s', (_what, input) => {
    expect(codeOf(input)).toBe('byte_order_mark')
  })

  test('UTF-16 without a mark is refused', () => {
    expect(codeOf(Buffer.from('["a"]', 'utf16le'))).toBe('syntax')
  })

  test('a view into a larger buffer is read from its own offset', () => {
    const view = new Uint8Array(Buffer.from('xx{"a":1}yy')).subarray(2, 9)
    expect(parseStrict(view)).toEqual({ a: 1 })
  })
})

describe('lone surrogates', () => {
  test.each([
    '["\\ud800"]', '["\\uDFFF"]', '["\\ud800abc"]', '["\\udc00\\ud800"]', '["\\ud800\\n"]', '["\\ud800\\ud800\\udc00"]', '["\\ud888\\u1234"]', '{"\\udead":1}', '{"a":"\\\\\\ud800"}', '"\\ud83d"',
  ])('%s', (text) => {
    expect(codeOf(text)).toBe('lone_surrogate')
  }) // prettier-ignore

  test('unescaped in a string', () => {
    expect(codeOf('["\ud800"]')).toBe('lone_surrogate')
  })

  test.each<[string, unknown]>([
    ['["\\ud83d\\ude00"]', ['😀']],
    ['["\\uD83D\\uDE00x\\ud83d\\ude00"]', ['😀x😀']],
    ['["\\\\ud800"]', ['\\ud800']],
    ['["😀"]', ['😀']],
    ['["\\uffff\\u0000"]', ['\uffff\u0000']],
  ])('accepted: %s', (text, value) => {
    expect(parseStrict(text)).toEqual(value)
  })
})

describe('duplicate and forbidden names', () => {
  test.each<[string, string]>([
    ['{"a":1,"a":1}', '/a'],
    ['{"sub":"alice","sub":"bob"}', '/sub'],
    ['{"alg":"none","alg":"ES256"}', '/alg'],
    ['{"a":1,"\\u0061":2}', '/a'],
    ['{"\\u0061":1,"a":2}', '/a'],
    ['{"\\u00e9":1,"é":2}', '/é'],
    ['{"\\ud83d\\ude00":1,"😀":2}', '/😀'],
    ['{"a/b":1,"a\\/b":2}', '/a~1b'],
    ['{"~":1,"~":2}', '/~0'],
    ['{"":1,"":2}', '/'],
    ['{ "a" : 1 , "a"\n\t\r :2}', '/a'],
    ['[{"b":{}},{"x":[1,{"y":1,"y":2}]}]', '/1/x/1/y'],
    ['{"a":{"a":{}},"b":[],"a":3}', '/a'],
    ['{"a":"}","a":2}', '/a'],
    ['{"a":"\\"","a":2}', '/a'],
    ['{"constructor":1,"constructor":2}', '/constructor'],
  ])('%s', (text, pointer) => {
    const error = errorOf(text)
    expect([error.code, error.pointer]).toEqual(['duplicate_name', pointer])
  })

  test('at every position among many', () => {
    for (const [first, second] of [[0, 300], [7, 8], [8, 9], [9, 10], [150, 151], [299, 300]] as const) {
      const names = Array.from({ length: 300 }, (_, n) => `"n${String(n)}":0`)
      names.splice(second, 0, `"n${String(first)}":1`)
      expect(codeOf(`{${names.join(',')}}`)).toBe('duplicate_name')
    }
  }) // prettier-ignore

  test('is an error even when the grammar fails later, and the error names the position', () => {
    expect(errorOf('{"a":1,"a":2').offset).toBe(7)
  })

  test.each([
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":2}]',
    '{"a":"a","A":1,"a ":2}',
    '{"é":1,"e\u0301":2}',
    '{"a":[{"a":1},"a"]}',
  ])('no duplicate: %s', (text) => {
    expect(parseStrict(text)).toEqual(JSON.parse(text))
  })

  test('__proto__ is refused in every spelling, at every position', () => {
    expect(errorOf('{"a":[{"__proto__":{"admin":true}}]}').pointer).toBe('/a/0/__proto__')
    for (const text of ['{"__proto__":1}', '{"\\u005f_proto__":1}', '{"a":{"__proto__":null}}', '[[{"__proto__":[]}]]'])
      expect(codeOf(text)).toBe('forbidden_name')
    expect(parseStrict('["__proto__"]')).toEqual(['__proto__'])
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })

  test('names of Object.prototype are plain own members', () => {
    const value = Object(parseStrict('{"constructor":1,"toString":2,"hasOwnProperty":3,"prototype":4}'))
    expect(Object.keys(value)).toEqual(['constructor', 'toString', 'hasOwnProperty', 'prototype'])
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  })
})

describe('limits', () => {
  test('depth 32 passes, 33 is refused, of either kind', () => {
    expect(codeOf('['.repeat(32) + ']'.repeat(32))).toBe('accepted')
    expect(codeOf('['.repeat(33) + ']'.repeat(33))).toBe('too_deep')
    expect(codeOf('{"a":'.repeat(32) + '1' + '}'.repeat(32))).toBe('accepted')
    expect(codeOf('{"a":'.repeat(33) + '1' + '}'.repeat(33))).toBe('too_deep')
    expect(codeOf('[[[]]]', { maxDepth: 2 })).toBe('too_deep')
    expect(codeOf('1', { maxDepth: 0 })).toBe('accepted')
    expect(codeOf('[]', { maxDepth: 0 })).toBe('too_deep')
  })

  test('depth counts open containers, not closed ones', () => {
    expect(codeOf(`[${Array.from({ length: 400 }, () => '[{}]').join(',')}]`)).toBe('accepted')
  })

  test.each(['[', '{"a":', '[{"":'])('100,000 times %j neither overflows nor is parsed', (open) => {
    expect(codeOf(open.repeat(100_000))).toBe('too_deep')
    expect(codeOf(open.repeat(100_000), { maxDepth: 1e9, maxMembers: 1e9 })).toBe('syntax')
  })

  test('100,000 levels, closed, where the options allow them', () => {
    expect(codeOf('['.repeat(100_000) + ']'.repeat(100_000), { maxDepth: 1e9, maxMembers: 1e9 })).toBe('accepted')
  })

  test('members: 1,000 of an object pass, 1,001 are refused', () => {
    const object = (count: number) => `{${Array.from({ length: count }, (_, n) => `"${String(n)}":0`).join(',')}}`
    expect(codeOf(object(1000))).toBe('accepted')
    expect(codeOf(object(1001))).toBe('too_many_members')
    expect(codeOf(object(3), { maxMembers: 2 })).toBe('too_many_members')
  })

  test('elements and the members of every object count together', () => {
    const array = (count: number) => `[${Array.from({ length: count }, () => '0').join(',')}]`
    expect(codeOf(array(1000))).toBe('accepted')
    expect(codeOf(array(1001))).toBe('too_many_members')
    expect(codeOf(`{"a":${array(500)},"b":${array(498)}}`)).toBe('accepted')
    expect(codeOf(`{"a":${array(500)},"b":${array(499)}}`)).toBe('too_many_members')
    expect(codeOf(`[${Array.from({ length: 600 }, () => '[]').join(',')}]`)).toBe('too_many_members')
  })

  test('bytes', () => {
    expect(codeOf(Buffer.from('"aaa"'), { maxBytes: 5 })).toBe('accepted')
    expect(codeOf(Buffer.from('"aaaa"'), { maxBytes: 5 })).toBe('too_large')
    expect(codeOf(Buffer.from('"éé"'), { maxBytes: 5 })).toBe('too_large')
  })

  test('commas, colons and brackets inside strings are text', () => {
    expect(parseStrict('[",:[]{}\\",:[{","{\\"a\\":1,\\"a\\":2}"]', { maxDepth: 1, maxMembers: 2 })).toEqual([
      ',:[]{}",:[{',
      '{"a":1,"a":2}',
    ])
  })
})

describe('numbers', () => {
  test.each(['1e999', '-1e999', '[1E400]', `[${'9'.repeat(400)}]`, '{"a":1e309}', '[123e65000]', '[0.1e400]'])(
    '%s',
    (text) => {
      expect(codeOf(text)).toBe('number_out_of_range')
      expect(codeOf(text, { largeIntegers: 'round' })).toBe('number_out_of_range')
    },
  )

  test.each(['9007199254740992', '-9007199254740992', '[12345678901234567890]', '{"exp":9007199254740993}'])(
    'an integer that would change its value: %s',
    (text) => {
      expect(codeOf(text)).toBe('number_out_of_range')
      expect(parseStrict(text, { largeIntegers: 'round' })).toEqual(JSON.parse(text))
    },
  )

  test.each(['4.0000000000000001', '[0.99999999999999999]', '1e-999', '12345678901234567.5'])(
    'a fraction that would change its value: %s',
    (text) => {
      expect(codeOf(text)).toBe('number_out_of_range')
      expect(parseStrict(text, { largeIntegers: 'round' })).toEqual(JSON.parse(text))
    },
  )

  // Bodies are read before their sender is known, so the work for a number stays bounded.
  test.each([`{"a":1.${'0'.repeat(63)}}`, `1.${'0'.repeat(40_000)}1`, `[0.${'0'.repeat(40_000)}1]`, `-1e-${'0'.repeat(62)}`])(
    'a token of more than 64 characters, case %#',
    (text) => {
      expect(codeOf(text)).toBe('number_out_of_range')
      expect(codeOf(text, { largeIntegers: 'round' })).toBe('number_out_of_range')
    },
  ) // prettier-ignore

  test.each([`1.${'0'.repeat(62)}`, `0.5${'0'.repeat(61)}`])('a token of 64 characters: %s', (text) => {
    expect(parseStrict(text)).toBe(JSON.parse(text))
  })

  test.each(['9007199254740991', '-9007199254740991', '0', '-0', '1e308', '-1.5E-3', '[0.1,1e2,-1E+2]', '123.456', '4.10', '0.30000000000000004', '1.2345678901234567', '100000000000000000000e-20'])('accepted: %s', (text) => {
    expect(parseStrict(text)).toEqual(JSON.parse(text))
  }) // prettier-ignore
})

describe('the same value as JSON.parse', () => {
  const open: JsonLimits = { maxDepth: 1e6, maxMembers: 1e6, largeIntegers: 'round' }
  // Blanks at every position where the grammar allows them, but not inside strings.
  const spaced = (text: string) =>
    text.replace(/"(?:[^"\\]|\\.)*"|[,:[\]{}]/g, (token) => (token.length > 1 ? token : ` ${token}\r\n\t`))
  const escapedAll = (text: string) =>
    text.replace(/[^\u0020-\u007e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

  test('for any value, in any notation', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' }), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!text.includes('"__proto__":'))
        for (const form of [text, spaced(text), escapedAll(text), JSON.stringify(value, null, 2)]) {
          const expected: unknown = JSON.parse(form)
          expect(parseStrict(form, open)).toEqual(expected)
          expect(parseStrict(Buffer.from(form), open)).toEqual(expected)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('any text of JSON tokens is refused or equals JSON.parse, and repeats no name', () => {
    const token = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '"\\u0061"', '"', '\\', '1', '-', '1e999', 'true', ' ', '"a":', ',"b":', '{"a":1}') // prettier-ignore
    fc.assert(
      fc.property(fc.array(token, { maxLength: 14 }), (tokens) => {
        const text = tokens.join('')
        let loose: unknown
        try {
          loose = JSON.parse(text)
        } catch {
          expect(codeOf(text)).not.toBe('accepted')
          return
        }
        const code = codeOf(text)
        if (code === 'accepted') expect(parseStrict(text)).toEqual(loose)
        else expect(['duplicate_name', 'number_out_of_range']).toContain(code)
      }),
      { numRuns: 20_000 },
    )
  })

  test('a repeated name is refused at any position', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 2 }), { minKeys: 1 }), fc.nat(), (record, pick) => {
        const members = Object.keys(record).map((name) => `${JSON.stringify(name)}:${JSON.stringify(record[name])}`)
        fc.pre(!members.join('').includes('"__proto__":'))
        const name = Object.keys(record)[pick % members.length] ?? ''
        const escapedName = Array.from({ length: name.length }, (_, n) => `\\u${name.charCodeAt(n).toString(16).padStart(4, '0')}`).join('')
        members.splice(pick % (members.length + 1), 0, `"${escapedName}":0`)
        expect(codeOf(`{${members.join(',')}}`, open)).toBe('duplicate_name')
      }),
      { numRuns: 2000 },
    )
  }) // prettier-ignore

  test('any bytes are refused with our own error or equal JSON.parse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (input) => {
        const code = codeOf(input, open)
        if (code === 'accepted')
          expect(parseStrict(input, open)).toEqual(JSON.parse(Buffer.from(input).toString('utf8')))
      }),
      { numRuns: 5000 },
    )
  })
})

describe('errors', () => {
  test('never contain the text', () => {
    for (const text of [
      '{"password":"hunter2" x',
      '{"password":"hunter2","password":1}',
      '["hunter2',
      '["hunter2",]',
    ]) {
      const error = errorOf(text)
      expect(JSON.stringify([error.message, error.code, String(error), error.cause])).not.toContain('hunter2')
    }
  })
})
