import { createSecretKey } from 'node:crypto'
import { assert, integer, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openCursor, sealCursor } from '../../src/http/cursors.ts'
import type { Refusal } from '../../src/errors.ts'

const key = createSecretKey(Buffer.alloc(32, 1))
const filters = { attestor: 'lab' }
const cursor = sealCursor(key, 'workloads', filters, 'web')

const refused = (open: () => unknown): string => {
  try {
    open()
    return 'opened'
  } catch (error) {
    return (error as Refusal).code
  }
}

describe('cursors', () => {
  it('open where they were made', () => {
    assert(
      property(string({ unit: 'grapheme', maxLength: 200 }), (after) => {
        expect(openCursor(key, 'workloads', filters, sealCursor(key, 'workloads', filters, after))).toBe(after)
      }),
    )
  })

  it.each([
    ['another list', () => openCursor(key, 'attestors', filters, cursor)],
    ['another filter', () => openCursor(key, 'workloads', { attestor: 'prod' }, cursor)],
    ['no filter', () => openCursor(key, 'workloads', {}, cursor)],
    ['one filter more', () => openCursor(key, 'workloads', { ...filters, managedBy: 'git:shop' }, cursor)],
    ['another deployment', () => openCursor(createSecretKey(Buffer.alloc(32, 2)), 'workloads', filters, cursor)],
    ['nothing', () => openCursor(key, 'workloads', filters, '')],
    ['a dot', () => openCursor(key, 'workloads', filters, '.')],
    ['no MAC', () => openCursor(key, 'workloads', filters, cursor.split('.')[0] ?? '')],
    ['an empty MAC', () => openCursor(key, 'workloads', filters, `${cursor.split('.')[0]}.`)],
    ['something after it', () => openCursor(key, 'workloads', filters, `${cursor}.x`)],
    ['what is not UTF-8', () => openCursor(key, 'workloads', filters, `_w.${cursor.split('.')[1]}`)],
  ])('are refused for %s', (_, open) => {
    expect(refused(open)).toBe('bad_cursor')
  })

  it('are refused with any one character changed, added or left out', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'
    assert(
      property(integer({ min: 0, max: cursor.length - 1 }), integer({ min: 0, max: alphabet.length - 1 }), (at, n) => {
        const other = alphabet[n] ?? ''
        const [before, after] = [cursor.slice(0, at), cursor.slice(at + 1)]
        for (const edited of [before + other + after, before + after, `${before}${other}${cursor.slice(at)}`]) {
          if (edited !== cursor) expect(refused(() => openCursor(key, 'workloads', filters, edited))).toBe('bad_cursor')
        }
      }),
    )
  })
})
