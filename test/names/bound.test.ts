import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Bound,
  boundFaults,
  hasAttestor,
  hasAudience,
  hasDatabase,
  hasDnsName,
  hasName,
  hasSecretPath,
  hasSecretsUnder,
  hasSpiffeId,
  intersection,
  isWithin,
  readBound,
} from '../../src/names/bound.ts'

const word = fc.constantFrom('a', 'b', 'c')
const words = fc.array(word, { maxLength: 3 })
const segments = fc.array(word, { minLength: 1, maxLength: 4 })
const path = segments.map((parts) => parts.join('/'))
const prefix = fc.option(path, { nil: undefined })
const bound: fc.Arbitrary<Bound> = fc
  .record({ lists: fc.tuple(words, words, words, words), secret: prefix, spiffe: prefix, name: prefix })
  .map(({ lists: [attestors, audiences, databases, labels], secret, spiffe, name }) =>
    readBound({
      attestors,
      audiences,
      databases,
      dnsSuffixes: labels.map((label) => `${label}.example`),
      ...(secret !== undefined && { secretPrefix: `${secret}/` }),
      ...(spiffe !== undefined && { spiffeIdPrefix: `/${spiffe}/` }),
      ...(name !== undefined && { namePrefix: `${name.replaceAll('/', '-')}-` }),
    }),
  )
const maybe = fc.option(bound, { nil: undefined })

/** The names of a sample that a bound permits. */
const permitted = (own: Bound | undefined, names: readonly string[]): string[] =>
  names.flatMap((name) => [
    ...(hasAttestor(own, name) ? [`attestor ${name}`] : []),
    ...(hasAudience(own, name) ? [`audience ${name}`] : []),
    ...(hasDatabase(own, name) ? [`database ${name}`] : []),
    ...(hasDnsName(own, `${name}.example`) ? [`dns ${name}`] : []),
    ...(hasSecretPath(own, name) ? [`secret ${name}`] : []),
    ...(hasSpiffeId(own, `spiffe://example.org/${name}`) ? [`spiffe ${name}`] : []),
    ...(hasName(own, name.replaceAll('/', '-')) ? [`name ${name}`] : []),
  ])
const names = fc.array(fc.oneof(word, path), { minLength: 5, maxLength: 30 })

describe('a bound', () => {
  it('that is empty permits nothing, and an absent one everything', () => {
    const sample = ['a', 'a/b', 'b/c/a']
    expect(permitted(readBound({}), sample)).toEqual([])
    expect(permitted(undefined, sample)).toHaveLength(sample.length * 7)
  })

  it.each([
    [{ secretPrefix: 'prod/shop' }, 'secretPrefix'],
    [{ secretPrefix: '/prod/' }, 'secretPrefix'],
    [{ secretPrefix: 'prod/../' }, 'secretPrefix'],
    [{ secretPrefix: 'prod/*/' }, 'secretPrefix'],
    [{ secretPrefix: '/' }, 'secretPrefix'],
    [{ secretPrefix: '' }, 'secretPrefix'],
    [{ spiffeIdPrefix: '/prod' }, 'spiffeIdPrefix'],
    [{ spiffeIdPrefix: 'prod/' }, 'spiffeIdPrefix'],
    [{ spiffeIdPrefix: '/prod/../' }, 'spiffeIdPrefix'],
    [{ spiffeIdPrefix: '/purser/' }, 'spiffeIdPrefix'],
    [{ spiffeIdPrefix: '/' }, 'spiffeIdPrefix'],
    [{ namePrefix: '' }, 'namePrefix'],
    [{ namePrefix: 'shop' }, 'namePrefix'],
    [{ namePrefix: '-' }, 'namePrefix'],
    [{ namePrefix: 'Shop-' }, 'namePrefix'],
    [{ dnsSuffixes: ['.svc'] }, 'dnsSuffixes'],
    [{ dnsSuffixes: ['*.svc'] }, 'dnsSuffixes'],
    [{ dnsSuffixes: [''] }, 'dnsSuffixes'],
  ])('with a fault is refused: %j', (definition, member) => {
    expect(boundFaults(definition)).toMatchObject([{ member }])
  })

  it('accepts an end at a whole segment', () => {
    const definition = { namePrefix: 'shop-', spiffeIdPrefix: '/prod/ns/shop/', secretPrefix: 'prod/shop/', dnsSuffixes: ['svc'] } // prettier-ignore
    expect(boundFaults(definition)).toEqual([])
    const own = readBound(definition)
    expect(hasSecretPath(own, 'prod/shop/a')).toBe(true)
    for (const outside of ['prod/shop', 'prod/shop/', 'prod/shops/a', 'prod/sho', '*', '**', 'prod/**', '{k8s:ns}/a'])
      expect(hasSecretPath(own, outside), outside).toBe(false)
    for (const outside of ['/prod/ns/shop', '/prod/ns/shop/', '/prod/ns/shops/a', '/prod/ns/{k8s:ns}/a'])
      expect(hasSpiffeId(own, `spiffe://example.org${outside}`), outside).toBe(false)
    expect(hasSecretsUnder(own, '')).toBe(true)
    expect(hasSecretsUnder(own, 'prod/shop/a')).toBe(true)
    expect(hasSecretsUnder(own, 'prod/other/')).toBe(false)
  })

  it('and another one: the intersection permits what both permit', () => {
    fc.assert(
      fc.property(maybe, maybe, names, (a, b, sample) => {
        const other = new Set(permitted(b, sample))
        expect(permitted(intersection(a, b), sample)).toEqual(permitted(a, sample).filter((text) => other.has(text)))
      }),
    )
  })

  it('within another one permits nothing that the other does not', () => {
    fc.assert(
      fc.property(maybe, maybe, names, (inner, outer, sample) => {
        if (!isWithin(inner, outer)) return
        const all = new Set(permitted(outer, sample))
        for (const text of permitted(inner, sample)) expect(all).toContain(text)
      }),
    )
  })

  it('contains itself, and every intersection with it', () => {
    fc.assert(
      fc.property(maybe, maybe, (a, b) => {
        expect(isWithin(a, a)).toBe(true)
        expect(isWithin(intersection(a, b), a)).toBe(true)
        expect(isWithin(intersection(a, b), b)).toBe(true)
      }),
    )
  })
})
