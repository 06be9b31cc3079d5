/**
 * Where a list goes on, as an opaque text that only this deployment can make: a cursor that was edited, or that belongs
 * to another list or other filters, is refused, so nothing a caller writes reaches a query (weaknesses.md, pagination).
 */
import { type KeyObject, createHmac, timingSafeEqual } from 'node:crypto'
import { refuse } from '../errors.ts'

export type Filters = Readonly<Record<string, unknown>>

function macOf(key: KeyObject, list: string, filters: Filters, after: string): Buffer {
  const given = Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHmac('sha256', key)
    .update(JSON.stringify(['cursor', list, given, after]))
    .digest()
}

/** @param after the key of the last row that was shown */
export function sealCursor(key: KeyObject, list: string, filters: Filters, after: string): string {
  return `${Buffer.from(after).toString('base64url')}.${macOf(key, list, filters, after).toString('base64url')}`
}

/** @throws Refusal `bad_cursor` */
export function openCursor(key: KeyObject, list: string, filters: Filters, cursor: string): string {
  const [text = '', mac = '', more] = cursor.split('.')
  const after = Buffer.from(text, 'base64url').toString()
  const made = sealCursor(key, list, filters, after)
  // The canonical text is compared, so no other spelling of the same bytes passes.
  const same = mac !== '' && more === undefined && made.length === cursor.length
  if (!same || !timingSafeEqual(Buffer.from(made), Buffer.from(cursor))) throw refuse('bad_cursor')
  return after
}
