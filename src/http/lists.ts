/** Pages of lists. Query parameters other than `limit` and `cursor` are filters. */
import type { Keys } from '../keys/keys.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { openCursor, sealCursor } from './cursors.ts'
import { type ApiRequest, type Reply, json } from './request.ts'

export type ListParts = { keys: Pick<Keys, 'signing'> }

type Listed<T> = {
  /** The name of the list. A cursor of another list is refused. */
  list: string
  /** All rows, or a function that reads the next `max` rows after a key, in order. */
  rows: Iterable<T> | ((after: string | undefined, max: number) => Promise<readonly T[]>)
  /** A unique key, by which the rows are ordered. */
  keyOf: (row: T) => string
  show: (row: T) => unknown
}

export type ShowPage = <T>(
  request: Pick<ApiRequest, 'query' | 'time' | 'caller'>,
  snapshot: Snapshot,
  listed: Listed<T>,
) => Promise<Reply>

const defaultLimit = 50

/** @throws Refusal `bad_cursor` */
export function createPages({ keys }: ListParts): ShowPage {
  return async ({ query, time, caller }, snapshot, { list, rows, keyOf, show }) => {
    const { limit, cursor, ...filters } = query as { limit?: number; cursor?: string } & Record<string, unknown>
    const { key } = keys.signing(snapshot, 'mac', time)
    const scope = { list, filters, caller, time }
    const after = cursor === undefined ? undefined : openCursor(key, scope, cursor)
    const max = limit ?? defaultLimit
    const ordered = typeof rows === 'function' ? await rows(after, max + 1) : sorted(rows, keyOf, after)
    const page = ordered.slice(0, max)
    const last = page.at(-1)
    return json({
      items: page.map(show),
      nextCursor: last && ordered.length > page.length ? sealCursor(key, scope, keyOf(last)) : null,
    })
  }
}

function sorted<T>(rows: Iterable<T>, keyOf: (row: T) => string, after: string | undefined): T[] {
  return [...rows]
    .map((row) => ({ row, at: keyOf(row) }))
    .filter(({ at }) => after === undefined || at > after)
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ row }) => row)
}
