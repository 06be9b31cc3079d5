/** What the log says, for handlers that answer from it. */
import type { LogEntry } from './entry.ts'
import { holdsTerms } from './terms.ts'
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { findEntries } from '../store/search.ts'

/** Only `seal` writes bodies, from an Entry. */
const isEntry = (value: unknown): value is LogEntry => typeof value === 'object' && value !== null && 'action' in value

/** Entries that hold every term, newest first; redacted ones are left out. */
export async function findRecorded(knex: Knex, terms: readonly string[], max: number): Promise<LogEntry[]> {
  const found = await findEntries(knex, terms, max)
  // Two terms may share a key.
  return found.filter(isEntry).filter((entry) => holdsTerms(entry, terms))
}

/**
 * What a registration said at an earlier revision: the log is the only place that keeps it.
 * @throws Refusal `not_found` for a revision that never was, or whose entry retention took
 */
export async function readRevision(knex: Knex, kind: string, id: string, revision: number): Promise<object> {
  const entries = await findRecorded(knex, [`revision=${kind}/${id}/${revision}`, 'outcome=granted'], 10)
  const after = entries.find((entry) => entry.change !== undefined)?.change?.after
  if (typeof after === 'object' && after !== null) return after
  throw refuse('not_found', { detail: 'there is no such revision, or retention took its entry' })
}
