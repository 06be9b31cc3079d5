/**
 * Cursors: a position in a list, as opaque text with a MAC. A cursor that was edited, has expired or belongs to another
 * caller, list or filter is refused, so that no text of a caller reaches a query.
 */
import { type KeyObject, createHmac, timingSafeEqual } from 'node:crypto'
import { refuse } from '../errors.ts'
import type { Caller } from '../authorize/caller.ts'

type Filters = Readonly<Record<string, unknown>>

/** What a cursor is bound to. */
export type CursorScope = { list: string; filters: Filters; caller: Caller; time: Date }

const lifetimeSeconds = 3600

function callerName(caller: Caller): string {
  if (caller.kind === 'operator' && !caller.session) return `operator ${caller.tokenId}`
  return caller.kind === 'operator' || caller.kind === 'session' ? `session ${caller.session.id}` : caller.kind
}

function seal(key: KeyObject, { list, filters, caller }: CursorScope, after: string, until: number): string {
  const members = Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1))
  const mac = createHmac('sha256', key)
    .update(JSON.stringify(['cursor', list, members, callerName(caller), until, after]))
    .digest('base64url')
  return `${Buffer.from(after).toString('base64url')}.${until}.${mac}`
}

const secondsOf = (time: Date): number => Math.floor(time.getTime() / 1000)

/** @param after the key of the last row of the page */
export const sealCursor = (key: KeyObject, scope: CursorScope, after: string): string =>
  seal(key, scope, after, secondsOf(scope.time) + lifetimeSeconds)

/** @throws Refusal `bad_cursor` */
export function openCursor(key: KeyObject, scope: CursorScope, cursor: string): string {
  const [text = '', expiry = ''] = cursor.split('.')
  const after = Buffer.from(text, 'base64url').toString()
  const until = Number(expiry)
  // The texts are compared, so that a second spelling of the same bytes is refused.
  const expected = Buffer.from(seal(key, scope, after, until))
  const presented = Buffer.from(cursor)
  const isAuthentic = expected.length === presented.length && timingSafeEqual(expected, presented)
  if (!isAuthentic || until < secondsOf(scope.time)) throw refuse('bad_cursor')
  return after
}
