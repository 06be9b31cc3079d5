import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatTilePath, parseTilePath } from '../../src/audit/tiles.ts'

it.each([
  ['tile/0/x001/x234/067', { level: 0, index: 1_234_067, width: 256 }],
  ['tile/0/000', { level: 0, index: 0, width: 256 }],
  ['tile/1/000.p/1', { level: 1, index: 0, width: 1 }],
  ['tile/63/x001/000.p/255', { level: 63, index: 1000, width: 255 }],
  ['tile/entries/999', { level: 'entries' as const, index: 999, width: 256 }],
  ['tile/entries/x009/x007/x199/x254/x740/991.p/12', { level: 'entries' as const, index: 2 ** 53 - 1, width: 12 }],
])('%s', (path, tile) => {
  expect(formatTilePath(tile)).toBe(path)
  expect(parseTilePath(path)).toEqual(tile)
})

it.each([
  '',
  'tile',
  'tile/0',
  'tile/0/',
  'tile/0/0',
  'tile/0/00',
  'tile/0/0000',
  'tile/00/000',
  'tile/64/000',
  'tile/-1/000',
  'tile/Entries/000',
  'tile/data/000',
  'tile/0/x000/000',
  'tile/0/x000/x001/000',
  'tile/0/001/000',
  'tile/0/x001',
  'tile/0/x001/x000',
  'tile/0/X001/000',
  'tile/0/000.p',
  'tile/0/000.p/',
  'tile/0/000.p/0',
  'tile/0/000.p/01',
  'tile/0/000.p/256',
  'tile/0/000.p/999',
  'tile/0/000.p/1/',
  'tile/0/000/',
  '/tile/0/000',
  'tile/0/000\n',
  'tile/0/٠٠٠',
  'tile/0/%300',
  'tile/0/x009/x007/x199/x254/x740/992',
  'tile/0/x999/x999/x999/x999/x999/x999/999',
])('%j is not the path of a tile', (path) => {
  expect(parseTilePath(path)).toBeUndefined()
})

it('every tile has one path, and every path one tile', () => {
  const level = fc.oneof(fc.nat(63), fc.constant('entries' as const))
  fc.assert(
    fc.property(level, fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (at, index, width) => {
      const tile = { level: at, index, width }
      expect(parseTilePath(formatTilePath(tile))).toEqual(tile)
    }),
  )
  fc.assert(
    fc.property(fc.stringMatching(/^tile\/[0-9e]{1,2}\/(x[0-9]{3}\/){0,2}[0-9]{2,4}(\.p\/[0-9]{1,3})?$/), (path) => {
      const tile = parseTilePath(path)
      if (tile) expect(formatTilePath(tile)).toBe(path)
    }),
  )
})
