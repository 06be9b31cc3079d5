import type { LogEntry } from '../../audit/entry.ts'
import type { Release } from '../../audit/record.ts'
import {
  type Filters,
  type Page,
  filterNames,
  filterTerms,
  rangeOfTime,
  searchPage,
  visiblePage,
} from '../../audit/search.ts'
import { boundOf } from '../../authorize/caller.ts'
import type { Database } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { type EpochParts, epochView, reading } from './epoch-view.ts'
import { isEntryWithin } from './visible.ts'

/** Entries [from, to) of an epoch. */
export type Span = { epoch: number; from: number; to: number }

type LogQuery = Filters & {
  epoch?: number
  since?: Date
  until?: Date
  fromIndex?: number
  order?: 'asc' | 'desc'
  limit?: number
}

/** `range` is what the page answers for, `rest` what the next page has to search. */
export type LogPage = Pick<Page, 'items' | 'redacted'> & { range: Span; rest?: Span; checkpoint: string }

export function searchLog(parts: EpochParts & { db: Pick<Database, 'knex' | 'kind'> }) {
  const { db } = parts

  async function firstSpan({ epoch, since, until, fromIndex, order }: LogQuery): Promise<Span> {
    const view = await epochView(parts, epoch)
    const span = { epoch: view.epoch, ...(await rangeOfTime(db, view.epoch, view.size, { since, until })) }
    if (fromIndex === undefined) return span
    if (order === 'asc') return { ...span, from: Math.min(Math.max(span.from, fromIndex), span.to) }
    return { ...span, to: Math.max(Math.min(span.to, fromIndex + 1), span.from) }
  }

  /** @param rest of the page before, of the same query */
  return async (
    { caller }: Pick<Context, 'caller'>,
    snapshot: Snapshot,
    query: LogQuery,
    rest?: Span,
  ): Promise<Release<LogPage>> => {
    const { epoch, from, to } = rest ?? (await firstSpan(query))
    const view = await epochView(parts, epoch)
    const { since, until, order = 'desc', limit = 50 } = query
    const search = {
      epoch,
      from,
      to,
      terms: filterTerms(query),
      ...(since && { since }),
      ...(until && { until }),
      order,
      limit,
    }
    const isVisible = (entry: LogEntry): boolean => isEntryWithin(entry, caller, snapshot)
    const page = boundOf(caller) ? await visiblePage(db, search, isVisible) : await searchPage(db, search)
    const next = order === 'asc' ? { epoch, from: page.to, to } : { epoch, from, to: page.from }
    const range = { epoch, from: page.from, to: page.to }
    const { items, redacted } = page
    const filters = Object.fromEntries(filterNames.flatMap((name) => (query[name] ? [[name, query[name]]] : [])))
    return reading(
      { items, redacted, range, checkpoint: view.note, ...(next.from < next.to && { rest: next }) },
      { detail: { filters, range, found: items.length } },
    )
  }
}
