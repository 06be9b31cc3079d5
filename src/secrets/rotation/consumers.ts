/**
 * The consumers of a secret: who holds which version, and which of them a rotation waits for. A consumer is a session: live
 * while it can authenticate, and moved once it has fetched the new version, whatever it reads later.
 */
import { type HeldVersion, type HolderRow, readHolders, retiredVersions } from '../../store/consumers.ts'
import type { Database, Knex } from '../../store/database.ts'
import type { RotationRow } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import { type Snapshot, wholeOf } from '../../store/snapshot.ts'
import { planOf } from './policy.ts'

/**
 * `live`: its session can authenticate. `held`: its session ended, and the workload entry says that what it fetched is in use for
 * `holdSeconds` after that. `ended`, `contained`: not waited for. `reader`: an operator, who has no session to move.
 */
type Standing = 'live' | 'held' | 'ended' | 'contained' | 'reader'

export type Consumer = HolderRow & {
  /** The version that it fetched last. */
  newest: HeldVersion
  standing: Standing
  /** When it stops being live or held. */
  until?: Date
  moved: boolean
  excused: boolean
  /** A rotation waits for it. */
  waitedFor: boolean
}

export type ConsumersOf = (
  secret: Pick<SecretRow, 'id' | 'version'>,
  rotation: RotationRow | undefined,
  snapshot: Snapshot,
  now: Date,
  /** The connection of a transaction. */
  knex?: Knex,
) => Promise<Consumer[]>

export type ConsumerParts = {
  db: Pick<Database, 'knex'>
  /** Why a session that has not ended can no longer authenticate: a block, or its workload entry. */
  barredBy: (snapshot: Snapshot, session: Session, now: Date) => 'block' | 'entry' | undefined
}

type Session = NonNullable<HolderRow['session']>

export function createConsumers({ db, barredBy }: ConsumerParts): ConsumersOf {
  return async (secret, rotation, snapshot, now, knex = db.knex) => {
    const retired = new Set(await retiredVersions(knex, secret.id))
    const rows = await readHolders(knex, secret.id)
    const move = moveOf(secret, rotation)
    return rows.flatMap((row): Consumer[] => {
      const [newest] = row.held
      if (!newest) return []
      const standing = standingOf(row, newest, wholeOf(snapshot), now, barredBy)
      const moved = hasMoved(row.held, move)
      const excused = rotation?.excused.includes(row.holder) ?? false
      const counts = standing.standing === 'live' || standing.standing === 'held'
      // A session that never held an older version has nothing to move from. An earlier rotation ended retired versions.
      const holdsOlder = row.held.some((version) => !isNew(version, move) && !retired.has(version.version))
      const waitedFor = counts && !moved && !excused && holdsOlder
      return [{ ...row, newest, ...standing, moved, excused, waitedFor }]
    })
  }
}

function standingOf(
  row: HolderRow,
  newest: HeldVersion,
  snapshot: Snapshot,
  now: Date,
  barredBy: ConsumerParts['barredBy'],
): Pick<Consumer, 'standing' | 'until'> {
  const { session, holder } = row
  if (!session) return { standing: holder.startsWith('operator:') ? 'reader' : 'ended' }
  const barred = barredBy(snapshot, session, now)
  // Also after its release: its session ended with the containment.
  if (barred === 'block' || session.endReason === 'contained') return { standing: 'contained' }
  if (!barred && !session.endedAt && session.expiresAt > now) return { standing: 'live', until: session.expiresAt }
  const seconds = holdSeconds(snapshot.workloads.get(session.workloadId)?.definition)
  const until = new Date(newest.fetchedAt.getTime() + seconds * 1000)
  return until > now ? { standing: 'held', until } : { standing: 'ended' }
}

function holdSeconds(definition: Record<string, unknown> | undefined): number {
  const consumers = definition?.['consumers']
  if (typeof consumers !== 'object' || consumers === null || !('holdSeconds' in consumers)) return 0
  return Number(consumers.holdSeconds)
}

type Move = { to: number; alike?: readonly number[]; moved: 'fetched' | 'acknowledged' }

/** A rotation moves consumers once its value is live. */
function moveOf(secret: Pick<SecretRow, 'version'>, rotation: RotationRow | undefined): Move {
  const plan = rotation && planOf(rotation)
  // After a rollback an earlier version has the same value.
  const alike = rotation?.toVersion === secret.version ? plan?.alike : undefined
  return { to: secret.version, moved: plan?.moved ?? 'fetched', ...(alike && { alike }) }
}

const isAlike = ({ version }: HeldVersion, { alike = [] }: Move): boolean => alike.includes(version)
const isNew = (version: HeldVersion, move: Move): boolean => version.version >= move.to || isAlike(version, move)

/** After a rollback, an earlier version with the same value counts if the consumer fetched no other one later. */
export function hasMoved(held: readonly HeldVersion[], move: Move): boolean {
  if (held.some((row) => row.version >= move.to && (move.moved === 'fetched' || row.ackedAt))) return true
  const alike = held.filter((row) => isAlike(row, move))
  const old = held.filter((row) => !isNew(row, move))
  const last = (rows: readonly HeldVersion[]): number => Math.max(...rows.map((row) => row.fetchedAt.getTime()))
  return alike.length > 0 && last(alike) >= last(old)
}
