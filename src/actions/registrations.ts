/** What attestors, workload entries and databases share: a unique name, and a revision that every change raises. */
import type { EntryPart } from '../audit/entry.ts'
import type { Change, Changed, Release } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import { type Bound, hasName } from '../names/bound.ts'
import { isUniqueViolation } from '../store/database.ts'
import { type NamedRows, byName } from '../store/registrations.ts'
import { checkRevision } from './context.ts'

type Kind = 'attestor' | 'workload' | 'database'
/** A registration at the revision that the caller read. */
export type NamedRevision = { name: string; expected: number }

type Registration = { id: string; name: string; revision: number }

export const impossible = (pointer: string, detail: string): Error =>
  refuse('impossible', { errors: [{ pointer, detail }] })

/**
 * Names are unique in all of Purser. A bounded caller creates names with its prefix only, so that no reply reveals names
 * outside its bound.
 * @throws Refusal `impossible`
 */
export function checkName(bound: Bound | undefined, name: string): void {
  if (hasName(bound, name)) return
  const prefix = bound?.namePrefix
  const detail =
    prefix === undefined
      ? 'the bound of your token has no namePrefix, so it creates no names'
      : `must begin with ${prefix}`
  throw impossible('/name', detail)
}

/** @throws Refusal `not_found` */
export function findByName<R extends Registration>(rows: NamedRows<R>, name: string): R {
  const row = byName(rows, name)
  if (!row) throw refuse('not_found')
  return row
}

/** @throws Refusal `not_found`, or `stale` with the live revision */
export function findAtRevision<R extends Registration>(rows: NamedRows<R>, { name, expected }: NamedRevision): R {
  const row = findByName(rows, name)
  checkRevision(expected, row.revision)
  return row
}

/** A replica that is behind does not know of every name yet. @throws Refusal `already_exists` */
export async function insertUnique(insertion: Promise<unknown>): Promise<void> {
  try {
    await insertion
  } catch (error) {
    throw isUniqueViolation(error) ? refuse('already_exists') : error
  }
}

const resourceOf = (kind: Kind, { id, name, revision }: Registration) => ({ kind, id, name, revision })
const changedBy = (kind: Kind, { id }: Registration): Changed[] => [{ table: kind, where: { id } }]

/** `state` goes into the log, so that what was in force at any time can be read from it. */
export const written = (kind: Kind, row: Registration, state: object): { entry: EntryPart; changed: Changed[] } => ({
  entry: { resource: resourceOf(kind, row), change: { after: state } },
  changed: changedBy(kind, row),
})

export const removed = (kind: Kind, row: Registration): Change<undefined> => ({
  result: undefined,
  entry: { resource: resourceOf(kind, row) },
  changed: changedBy(kind, row),
})

/** A check reaches out and changes nothing, so it is released in any state of the log. */
export function checked<C extends { ok: boolean }>(
  kind: Kind,
  { id, name }: Registration,
  checks: readonly C[],
): Release<{ ok: boolean; checks: readonly C[] }> {
  const result = { ok: checks.every((check) => check.ok), checks }
  return { result, entry: { resource: { kind, id, name }, detail: result }, holds: () => true, whileClosed: true }
}

export const managedBy = <R extends { definition: { managedBy?: unknown } }>(
  rows: Iterable<R>,
  manager: string | undefined,
): R[] => [...rows].filter((row) => manager === undefined || row.definition.managedBy === manager)

/** The first five names, so that a problem stays readable. */
export function fewOf(names: readonly string[]): string {
  const more = names.length - 5
  return names.slice(0, 5).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
