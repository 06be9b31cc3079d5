/** Entries of the log, for requests that are answered from them. */
import type { LogEntry } from './entry.ts'
import { holdsTerms } from './terms.ts'
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { findEntries } from '../store/search.ts'

/** Only `seal` writes bodies, from a LogEntry. */
const isEntry = (value: unknown): value is LogEntry => typeof value === 'object' && value !== null && 'action' in value

/** Entries with every term, newest first, without redacted ones. */
export async function findRecorded(knex: Knex, terms: readonly string[], max: number): Promise<LogEntry[]> {
  const entries = await findEntries(knex, terms, max)
  // Two terms may share a key.
  return entries.filter(isEntry).filter((entry) => holdsTerms(entry, terms))
}

/**
 * A registration at an earlier revision. Only the log has it.
 * @throws Refusal `not_found` for an unknown revision, or one whose entry was redacted
 */
export async function readRevision(knex: Knex, kind: string, id: string, revision: number): Promise<object> {
  const entries = await findRecorded(knex, [`revision=${kind}/${id}/${revision}`, 'outcome=granted'], 10)
  const after = entries.find((entry) => entry.change !== undefined)?.change?.after
  if (typeof after === 'object' && after !== null) return after
  throw refuse('not_found', { detail: 'there is no such revision, or its entry was redacted' })
}
