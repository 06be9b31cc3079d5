/** Containments: a row for each, which lasts. containment-items.ts has what was found. */
import type { Bound } from '../names/bound.ts'
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { Place } from './entries.ts'
import type { BlockKind } from './rows.ts'

type Tx = Knex.Transaction

/** As the operator named it. */
export type ContainmentMatch = {
  spiffeId?: string
  session?: string
  serialNumber?: string
  attestor?: string
  selectors?: Record<string, string>
  tokenId?: string
  operator?: string
}

/**
 * Whom a match means, by ids that never change. `bound`: that of the operator who contains. Secrets outside are not
 * rotated.
 */
export type Subject = { bound?: Bound } & (
  | { kind: 'spiffeId'; spiffeId: string }
  /** `sessions`: all of the instance. `spiffeId`: its identity at the time. */
  | {
      kind: 'instance'
      session: string
      instance: string
      workloadId?: string
      sessions: string[]
      spiffeId?: string
    }
  | { kind: 'attestor'; attestorId: string; name: string }
  | { kind: 'selectors'; attestorId: string; name: string; selectors: Record<string, string> }
  /** With the tokens that they created. `operator`: every token of the operator. `spared`: that of the operator who contains. */
  | { kind: 'apiTokens'; tokenIds: string[]; operator?: string; spared?: string }
)

/** What the workload entries grant. */
export type Reachable = { secrets: string[]; audiences: string[]; databases: string[] }

type ContainmentState = 'revoking' | 'rotating' | 'contained'

export type ContainmentRow = {
  id: string
  match: ContainmentMatch
  subject: Subject
  since?: Date
  rotate: boolean
  /** `operator:<name>` */
  requestedBy: string
  /** Every entry of the containment has it. */
  requestId: string
  createdAt: Date
  /** The entry of the block: what was issued before it is revoked. */
  epoch: number
  cut: number
  /** Absent for API tokens. */
  blocks?: BlockKind
  reachable: Reachable
  state: ContainmentState
  /** The last entry of the log whose credentials are revoked. */
  reached?: Place
  completedAt?: Date
  releasedAt?: Date
  releasedBy?: string
}

type Stored = Omit<ContainmentRow, 'cut'> & { cut: string; lockedUntil?: Date }

function toContainment(row: Columns<Stored>): ContainmentRow {
  const { cut, lockedUntil: _, ...rest } = membersOf<Stored>(row)
  return { ...rest, cut: Number(cut) }
}

/** The cut is set under the head lock (`setCut`). */
export const insertContainment = (tx: Tx, row: Omit<ContainmentRow, 'epoch' | 'cut'>): Promise<unknown> =>
  tx('containment').insert(columnsOf(row))

export const setCut = (tx: Tx, id: string, epoch: number, index: number): Promise<unknown> =>
  tx('containment').where({ id }).update({ epoch, cut: index })

export async function readContainment(knex: Knex, id: string): Promise<ContainmentRow | undefined> {
  const row: Columns<Stored> | undefined = await knex('containment').where({ id }).first()
  return row && toContainment(row)
}

export async function lockContainment(tx: Tx, id: string): Promise<ContainmentRow | undefined> {
  const row: Columns<Stored> | undefined = await tx('containment').where({ id }).forUpdate().first()
  return row && toContainment(row)
}

export async function listContainments(knex: Knex): Promise<ContainmentRow[]> {
  const rows: Columns<Stored>[] = await knex('containment').orderBy('created_at', 'desc')
  return rows.map(toContainment)
}

type Progress = Pick<ContainmentRow, 'state' | 'subject'> &
  Partial<Pick<ContainmentRow, 'reached' | 'completedAt' | 'releasedAt' | 'releasedBy'>>

/** Changes the named members alone. */
export const updateContainment = (tx: Knex, id: string, progress: Partial<Progress>): Promise<unknown> =>
  tx('containment').where({ id }).update(columnsOf(progress))

/** Open containments that no replica works on. */
export const dueContainments = (knex: Knex, now: Date): Promise<string[]> =>
  knex('containment')
    .whereNull('completed_at')
    .where((query) => void query.whereNull('locked_until').orWhere('locked_until', '<=', now))
    .orderBy('created_at')
    .pluck('id')

/**
 * Keeps other replicas from the work until a time. A replica that works longer claims it again.
 * @param claimedUntil the end of an earlier claim of the same replica
 */
export const claimContainment = async (
  knex: Knex,
  id: string,
  now: Date,
  until: Date,
  claimedUntil?: Date,
): Promise<boolean> => {
  const free = knex('containment').where({ id }).whereNull('completed_at')
  const count = await free
    .where((query) => {
      void query.whereNull('locked_until').orWhere('locked_until', '<=', now)
      if (claimedUntil) void query.orWhere('locked_until', claimedUntil)
    })
    .update({ locked_until: until })
  return count === 1
}

export const freeContainment = (knex: Knex, id: string, claimedUntil: Date): Promise<unknown> =>
  knex('containment').where({ id, locked_until: claimedUntil }).update({ locked_until: null })
