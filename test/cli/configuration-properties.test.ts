/** Properties of the strict YAML reader and of the differences between two values. */
import {
  array,
  assert,
  constantFrom,
  dictionary,
  jsonValue,
  nat,
  oneof,
  pre,
  property,
  string,
  stringMatching,
} from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { type MemberChange, differences } from '../../src/cli/configuration/differences.ts'
import { type YamlDocument, YamlFault, readYaml } from '../../src/cli/configuration/yaml.ts'

const json = jsonValue({ maxDepth: 5 }).map((value): unknown => JSON.parse(JSON.stringify(value)))
const read = (text: string): YamlDocument[] => [...readYaml(text)]

describe('the reader', () => {
  it('reads any JSON value unchanged, from JSON and from YAML', () => {
    assert(
      property(json, (value) => {
        pre(!JSON.stringify(value).includes('"<<"'))
        expect(read(JSON.stringify(value)).map((document) => document.value)).toEqual([value])
        expect(read(stringify(value, { aliasDuplicateObjects: false })).map((document) => document.value)).toEqual([
          value,
        ])
      }),
      { numRuns: 500 },
    )
  })

  it('refuses any text with a line number, or reads it: no other exception is thrown', () => {
    const pieces = array(
      constantFrom(
        'a',
        ': ',
        '\n',
        '- ',
        '  ',
        '[',
        ']',
        '{',
        '}',
        ',',
        '&x ',
        '*x',
        '!t ',
        '<<',
        '|',
        '>',
        '"',
        "'",
        '#',
        '---\n',
        '%Y 1\n',
        '\t',
        '? ',
        '\u0000',
        '\ud800',
      ),
    )
    assert(
      property(
        oneof(
          pieces.map((parts) => parts.join('')),
          string({ unit: 'binary' }),
        ),
        (text) => {
          try {
            for (const { line } of read(text)) expect(line).toBeGreaterThan(0)
          } catch (error) {
            expect(error).toBeInstanceOf(YamlFault)
            const { line } = error as YamlFault
            expect(line).toBeGreaterThan(0)
            expect(line).toBeLessThanOrEqual(text.split('\n').length)
          }
        },
      ),
      { numRuns: 3_000 },
    )
  })

  it('names the line of each member, whatever precedes it', () => {
    assert(
      property(
        array(stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 8 }),
        nat({ max: 5 }),
        (path, above) => {
          const text =
            '# comment\n'.repeat(above) + path.map((name, depth) => `${'  '.repeat(depth)}${name}:`).join('\n') + ' 1\n'
          const [document] = read(text)
          path.forEach((_, depth) => {
            expect(document?.lineOf(`/${path.slice(0, depth + 1).join('/')}`)).toBe(above + depth + 1)
          })
          expect(document?.lineOf(`/${path.join('/')}/none`)).toBe(above + path.length)
        },
      ),
    )
  })
})

/** Applies the changes. Items are removed from the end, so that the indexes of the earlier ones stay. */
function patched(value: unknown, changes: readonly MemberChange[]): unknown {
  const document = { root: structuredClone(value) }
  const isItemGone = (change: MemberChange): boolean => !('after' in change)
  const ordered = [
    ...changes.filter((change) => 'before' in change && 'after' in change),
    ...changes.filter(isItemGone).toReversed(),
    ...changes.filter((change) => !('before' in change)),
  ]
  for (const { member, ...change } of ordered) {
    const steps = `/root${member}`
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    let parent: unknown = document
    for (const step of steps.slice(0, -1)) parent = (parent as Record<string, unknown>)[step]
    const last = steps.at(-1) ?? ''
    if (Array.isArray(parent) && !('before' in change)) parent.splice(Number(last), 0, change.after)
    else if (Array.isArray(parent) && !('after' in change)) parent.splice(Number(last), 1)
    else if (!('after' in change)) delete (parent as Record<string, unknown>)[last]
    else
      Object.defineProperty(parent, last, { value: change.after, enumerable: true, writable: true, configurable: true })
  }
  return document.root
}

describe('differences', () => {
  it('of equal values are none, and of others lead from the one to the other', () => {
    const members = oneof(
      json,
      dictionary(constantFrom('a', 'b', 'a/b', '~', ''), array(constantFrom(1, 2, 3, 'x', { y: 1 }), { maxLength: 6 })),
    )
    assert(
      property(members, members, (before, after) => {
        pre(!JSON.stringify([before, after]).includes('__proto__'))
        expect(differences(before, structuredClone(before))).toEqual([])
        expect(patched(before, differences(before, after))).toEqual(after)
      }),
      { numRuns: 2_000 },
    )
  })

  it('of an item that is inserted in the middle are only that item', () => {
    expect(differences(['a', 'b', 'c'], ['a', 'x', 'b', 'c'])).toEqual([{ member: '/1', after: 'x' }])
    expect(differences({ l: [{ a: 1 }, { b: 1 }] }, { l: [{ a: 2 }, { b: 1 }] })).toEqual([
      { member: '/l/0/a', before: 1, after: 2 },
    ])
  })
})
