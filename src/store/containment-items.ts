/** What a containment found in the log, and what it did about each secret. */
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { RotationState } from './rotations.ts'
import type { LeaseState } from './leases.ts'

/**
 * A live credential, its session, an API token, a version of a secret that was read, or what an API token changed. `secret`: a rotation
 * began, or the reason why a person has to act.
 */
export type ItemKind = 'certificate' | 'jwt' | 'accessToken' | 'session' | 'apiToken' | 'read' | 'change' | 'secret'

export type Item = {
  kind: ItemKind
  name: string
  until?: Date
  detail?: {
    audience?: string[]
    path?: string
    version?: number
    versions?: number[]
    /** The rotation of a secret. */
    rotation?: string
    /** Why a person has to act. */
    reason?: string
  }
}

/** Items that were found before stay as they are. */
export async function insertItems(knex: Knex, containment: string, items: readonly Item[]): Promise<void> {
  for (let at = 0; at < items.length; at += 500) {
    const rows = items.slice(at, at + 500).map(({ kind, name, until, detail = {} }) => ({
      containment,
      kind,
      name,
      until: until ?? null,
      detail: JSON.stringify(detail),
    }))
    await knex('containment_item').insert(rows).onConflict(['containment', 'kind', 'name']).ignore()
  }
}

export async function readItems(knex: Knex, containment: string, kinds: readonly ItemKind[]): Promise<Item[]> {
  const rows: Columns<Item>[] = await knex('containment_item')
    .where({ containment })
    .whereIn('kind', kinds)
    .orderBy(['kind', 'name'])
    .select('kind', 'name', 'until', 'detail')
  return rows.map(membersOf<Item>)
}

export async function countItems(knex: Knex, containment: string): Promise<Map<ItemKind, number>> {
  const rows: { kind: ItemKind; count: string }[] = await knex('containment_item')
    .where({ containment })
    .groupBy('kind')
    .select('kind')
    .count({ count: '*' })
  return new Map(rows.map(({ kind, count }) => [kind, Number(count)]))
}

/** Revoked certificates and JWTs that have not ended, the latest end first. */
export async function lastingItems(knex: Knex, containment: string, now: Date, max: number): Promise<Item[]> {
  const rows: Columns<Item>[] = await knex('containment_item')
    .where({ containment })
    .whereIn('kind', ['certificate', 'jwt'])
    .where('until', '>', now)
    .orderBy('until', 'desc')
    .limit(max)
    .select('kind', 'name', 'until', 'detail')
  return rows.map(membersOf<Item>)
}

export type ContainedLease = { id: string; databaseId: string; username: string; state: LeaseState; endedAt?: Date }

const leaseColumns = ['l.id', 'l.database_id', 'l.username', 'l.state', 'l.ended_at']

/** The leases of the sessions of a containment that had not ended when it began. */
export async function leasesOfContainment(knex: Knex, containment: string, since: Date): Promise<ContainedLease[]> {
  const rows: Columns<ContainedLease>[] = await knex('containment_item as i')
    .join('lease as l', 'l.session_id', 'i.name')
    .where({ 'i.containment': containment, 'i.kind': 'session' })
    .where((query) => void query.whereNull('l.ended_at').orWhere('l.ended_at', '>=', since))
    .orderBy('l.id')
    .select(leaseColumns)
  return rows.map(membersOf<ContainedLease>)
}

/** The open leases of sessions. */
export async function openLeasesOf(knex: Knex, sessions: readonly string[]): Promise<ContainedLease[]> {
  const rows: Columns<ContainedLease>[] = await knex('lease as l')
    .whereRaw('l.session_id = any(?)', [[...sessions]])
    .whereNull('l.ended_at')
    .orderBy('l.id')
    .select(leaseColumns)
  return rows.map(membersOf<ContainedLease>)
}

export type RotationProgress = { id: string; state: RotationState; lastError?: string; endedAt?: Date }

export async function rotationsById(knex: Knex, ids: readonly string[]): Promise<Map<string, RotationProgress>> {
  if (ids.length === 0) return new Map()
  const rows: Columns<RotationProgress>[] = await knex('rotation')
    .whereRaw('id = any(?)', [[...ids]])
    .select('id', 'state', 'last_error', 'ended_at')
  return new Map(rows.map((row) => [row.id, membersOf<RotationProgress>(row)]))
}
