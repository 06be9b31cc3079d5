import { createSecretKey } from 'node:crypto'
import { assert, integer, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openCursor, sealCursor } from '../../src/http/cursors.ts'
import type { Refusal } from '../../src/errors.ts'
import type { Caller } from '../../src/authorize/caller.ts'

const key = createSecretKey(Buffer.alloc(32, 1))
const filters = { attestor: 'lab' }
const time = new Date('2026-11-24T10:00:00Z')
const operator = (tokenId: string): Caller => ({
  kind: 'operator',
  operator: 'admin',
  role: 'admin',
  operatorRole: 'admin',
  revision: 1,
  tokenId,
  firstUse: false,
})
const scope = { list: 'workloads', filters, caller: operator('tok_1'), time }
const cursor = sealCursor(key, scope, 'web')

const refused = (open: () => unknown): string => {
  try {
    open()
    return 'opened'
  } catch (error) {
    return (error as Refusal).code
  }
}

describe('cursors', () => {
  it('open in their own scope', () => {
    assert(
      property(string({ unit: 'grapheme', maxLength: 200 }), (after) => {
        expect(openCursor(key, scope, sealCursor(key, scope, after))).toBe(after)
      }),
    )
  })

  it.each([
    ['another caller', () => openCursor(key, { ...scope, caller: operator('tok_2') }, cursor)],
    ['a caller without a credential', () => openCursor(key, { ...scope, caller: { kind: 'anonymous' } }, cursor)],
    ['a time after its hour', () => openCursor(key, { ...scope, time: new Date('2026-11-24T11:00:01Z') }, cursor)],
    ['a later expiry', () => openCursor(key, scope, cursor.replace(/\.\d+\./, '.9999999999.'))],
    ['another list', () => openCursor(key, { ...scope, list: 'attestors' }, cursor)],
    ['another filter', () => openCursor(key, { ...scope, filters: { attestor: 'prod' } }, cursor)],
    ['no filter', () => openCursor(key, { ...scope, filters: {} }, cursor)],
    ['one filter more', () => openCursor(key, { ...scope, filters: { ...filters, managedBy: 'git:shop' } }, cursor)],
    ['another deployment', () => openCursor(createSecretKey(Buffer.alloc(32, 2)), scope, cursor)],
    ['nothing', () => openCursor(key, scope, '')],
    ['a dot', () => openCursor(key, scope, '.')],
    ['no MAC', () => openCursor(key, scope, cursor.split('.')[0] ?? '')],
    ['an empty MAC', () => openCursor(key, scope, `${cursor.split('.')[0]}.`)],
    ['something after it', () => openCursor(key, scope, `${cursor}.x`)],
    ['what is not UTF-8', () => openCursor(key, scope, cursor.replace(/^[^.]*/, '_w'))],
  ])('are refused for %s', (_, open) => {
    expect(refused(open)).toBe('bad_cursor')
  })

  it('are refused if any character is changed, added or removed', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'
    assert(
      property(integer({ min: 0, max: cursor.length - 1 }), integer({ min: 0, max: alphabet.length - 1 }), (at, n) => {
        const other = alphabet[n] ?? ''
        const [before, after] = [cursor.slice(0, at), cursor.slice(at + 1)]
        for (const edited of [before + other + after, before + after, `${before}${other}${cursor.slice(at)}`]) {
          if (edited !== cursor) expect(refused(() => openCursor(key, scope, edited))).toBe('bad_cursor')
        }
      }),
    )
  })
})
