/** A containment as it stands, or as it would be. */
import {
  type ContainedLease,
  type Item,
  type ItemKind,
  type RotationProgress,
  countItems,
  lastingItems,
  leasesOfContainment,
  readItems,
  rotationsById,
} from '../../store/containment-items.ts'
import { liveCovered } from '../../store/contained-sessions.ts'
import type { ContainmentRow } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { RotationState } from '../../store/rotations.ts'
import { readsIn } from './findings.ts'

export type RotatingSecret = {
  path: string
  versions: number[]
  state: RotationState | 'planned'
  rotation?: string
  error?: string
}

/** `outside`: some of it is outside the bound of the reader (within.ts). */
export type NeedsHands = { kind: 'secret' | 'change' | 'outside'; name: string; reason: string }

/** What was found, and what became of it. */
export type Report = {
  counts: ReadonlyMap<ItemKind, number>
  leases: ContainedLease[]
  /** Live sessions that are blocked and not ended. */
  alsoAffected: string[]
  rotating: RotatingSecret[]
  needsHands: NeedsHands[]
  /** Certificates and JWTs that some verifiers still accept. */
  lasting: Item[]
}

export const maxLasting = 1000
const maxAffected = 100

export const byHand = (name: string): NeedsHands => ({
  kind: 'change',
  name,
  reason: 'the API token changed it: check it, and undo what is not yours',
})

export async function reportOf(knex: Knex, row: ContainmentRow, now: Date): Promise<Report> {
  const items = await readItems(knex, row.id, ['read', 'secret', 'change'])
  const secrets = items.filter((item) => item.kind === 'secret')
  const rotations = await rotationsById(
    knex,
    secrets.flatMap((item) => item.detail?.rotation ?? []),
  )
  const versionsOf = readsIn(items)
  const byPath = new Map(secrets.map((item) => [item.name, item]))
  const states = [...versionsOf].map(([path, versions]) => stateOf(path, versions, byPath.get(path), rotations))
  const live = row.releasedAt ? [] : await liveCovered(knex, row.subject, now, maxAffected)
  return {
    counts: await countItems(knex, row.id),
    leases: await leasesOfContainment(knex, row.id, row.createdAt),
    alsoAffected: row.state === 'revoking' ? [] : live.map((session) => session.id),
    rotating: states.flatMap((state) => (state && 'path' in state ? state : [])),
    needsHands: [
      ...states.flatMap((state) => (state && 'name' in state ? state : [])),
      ...items.filter((item) => item.kind === 'change').map((item) => byHand(item.name)),
    ],
    lasting: await lastingItems(knex, row.id, now, maxLasting),
  }
}

const ended: readonly RotationState[] = ['failed', 'rolled_back']

function stateOf(
  path: string,
  versions: number[],
  item: Item | undefined,
  rotations: ReadonlyMap<string, RotationProgress>,
): RotatingSecret | NeedsHands | undefined {
  if (!item) return { path, versions, state: 'planned' }
  const { rotation: id, reason } = item.detail ?? {}
  if (reason !== undefined) return { kind: 'secret', name: path, reason }
  const rotation = id === undefined ? undefined : rotations.get(id)
  if (!rotation) return undefined
  const { state, lastError } = rotation
  if (ended.includes(state))
    return { kind: 'secret', name: path, reason: `its rotation ended as ${state}${lastError ? `: ${lastError}` : ''}` }
  return { path, versions, state, rotation: rotation.id, ...(lastError !== undefined && { error: lastError }) }
}

/** Nothing is left but what needs a person or time. */
export const isSettled = ({ leases, rotating }: Report): boolean =>
  leases.every((lease) => lease.endedAt) && rotating.every(({ state }) => state === 'retired' || state === 'superseded')
