/** Commits a change of state: its SQL and its entry in one transaction, the entry last, under the head lock. */
import type { Receipt } from '@purser/sdk/verify'
import pLimit from 'p-limit'
import { Refusal, refuse } from '../errors.ts'
import { UnknownWrappingKey } from '../keys/keyring.ts'
import { markChanged } from '../store/changes.ts'
import type { Database, Knex } from '../store/database.ts'
import { isConnectionError, isLockTimeout } from '../store/database.ts'
import { appendItems, lockHead, newBatchId, readHead } from '../store/log.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import type { Actor, EntryPart } from './entry.ts'
import type { Log, Position, Since } from './log.ts'
import { freeHead, logUnavailable, resolveLostBatch, patience, retryUntil } from './lost-batch.ts'
import type { Opening, Sealed } from './seal.ts'

/** A state change that the transaction contains, and the rows that replicas must read again. */
export type Change<R> = {
  result: R
  entry: EntryPart
  /** Further entries of the same change, appended after the first. */
  more?: EntryPart[]
  changed?: Changed[]
  /**
   * Runs in the transaction under the head lock, when the first entry has its index. For rows that name the entry, and for
   * rows that the group commit locks too (sessions): locking those before the head lock could deadlock.
   */
  placed?: (epoch: number, index: number) => Promise<unknown>
}
export type Changed = {
  table:
    'attestor' | 'workload' | 'account_pin' | 'block' | 'api_token' | 'operator' | 'signing_key' | 'secret' | 'database'
  where: Record<string, string>
}

export type Recorded<R> = {
  result: R
  epoch: number
  index: number
  receipt: (since?: Since) => Promise<Receipt>
}

type Parts = {
  db: Pick<Database, 'knex'>
  log: Pick<Log, 'epoch' | 'size' | 'advance' | 'rolledBack'>
  snapshots: Pick<Snapshots, 'current'>
  refresh: () => Promise<Snapshot>
  now: () => number
  seal: (open: Opening, part: EntryPart) => Sealed
  recorded: <R>(result: R, sealed: Sealed, position: Position) => Recorded<R>
}

type Run<R> = (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<R>>

/** A change that is based on an older revision is retried. With changes at every replica, each try competes with a few. */
const maxTries = 50
/** Each holds a connection, and the others of the pool belong to appends and reads. Changes of policy outdate each other. */
const maxConcurrent = 4
/** More changes could not be committed within `patience`. */
const maxWaiting = 500
/** Changes of workloads leave room for operators, and those of one workload leave room for the others. */
const maxOfWorkloads = 250
const maxOfOneWorkload = 50
/** Thrown inside a transaction, so that it rolls back. */
const stale = new Error('decided under an older revision')

const crowded = (): Error => refuse('log_unavailable', { retryAfterSeconds: 2, detail: 'too many changes are waiting' })

function isCrowded(waiting: readonly Actor[], { kind, workloadId }: Actor): boolean {
  if (waiting.length >= maxWaiting) return true
  if (kind !== 'workload') return false
  const workloads = waiting.filter((actor) => actor.kind === 'workload')
  return (
    workloads.length >= maxOfWorkloads ||
    workloads.filter((actor) => actor.workloadId === workloadId).length >= maxOfOneWorkload
  )
}

export function createChanges(parts: Parts): <R>(open: Opening, run: Run<R>) => Promise<Recorded<R>> {
  const { db, log, snapshots, refresh, now } = parts

  const limit = pLimit(maxConcurrent)
  const waiting: Actor[] = []
  async function limited<T>(actor: Actor, work: () => Promise<T>): Promise<T> {
    if (isCrowded(waiting, actor)) throw crowded()
    waiting.push(actor)
    return limit(work).finally(() => waiting.splice(waiting.indexOf(actor), 1))
  }

  /** Whether the snapshot is outdated: a resource that another replica has created must not be reported as missing. */
  async function isBehind({ revision }: Snapshot): Promise<boolean> {
    const head = await readHead(db.knex)
    return head !== undefined && head.epoch === log.epoch() && head.revision !== revision
  }

  /** Returns undefined when the change was rolled back and must be retried. */
  async function commit<R>(open: Opening, run: Run<R>, until: number): Promise<Recorded<R> | undefined> {
    const snapshot = snapshots.current()
    const batch = newBatchId()
    let attempt: { change: Change<R>; sealed: Sealed[]; first: number } | undefined
    const from = log.size()
    try {
      await db.knex.transaction(async (tx) => {
        const change = await run(tx, snapshot)
        const sealed = [change.entry, ...(change.more ?? [])].map((part) => parts.seal(open, part))
        const head = await lockHead(tx)
        if (head.epoch !== log.epoch()) throw refuse('issuing_closed')
        if (head.revision !== snapshot.revision) throw stale
        attempt = { change, sealed, first: head.size }
        await markChanged(tx, head, change.changed ?? [])
        await change.placed?.(head.epoch, head.size)
        const { verdicts } = await appendItems(tx, batch, head.epoch, sealed)
        if (verdicts.size > 0) throw refuse('issuing_closed')
      })
    } catch (error) {
      if (error === stale) return undefined
      const mayBeBehind = error instanceof Refusal || error instanceof UnknownWrappingKey
      if (mayBeBehind && (await isBehind(snapshot))) return undefined
      // A deadlock or lock timeout rolled the transaction back, so it can be retried.
      if (isLockTimeout(error)) return void (await freeHead(db.knex))
      if (!isConnectionError(error)) throw error
      // The answer to COMMIT may have been lost, so the outcome is looked up.
      const indexes = attempt && (await resolveLostBatch(db.knex, { batch, epoch: log.epoch(), from }, { until, now }))
      if (!indexes || indexes.size === 0) return undefined
    }
    if (!attempt) throw new Error('a change ended without an outcome')
    const { change, sealed, first } = attempt
    const leaves = sealed.map(({ leaf }) => leaf)
    // The entries are durable. Now the tree takes them over and proves them.
    const advance = () => log.advance(log.epoch(), first, leaves)
    const positions = await retryUntil(db.knex, advance, { until: now() + patience, now })
    await refresh().catch(() => undefined)
    const [entry, position] = [sealed[0], positions[0]]
    if (!entry || !position) throw new Error('a change has no position in the log')
    return parts.recorded(change.result, entry, position)
  }

  return (open, run) => {
    const until = now() + patience
    return limited(open.actor, async () => {
      for (let tries = 0; tries < maxTries && now() < until; tries++) {
        if (log.rolledBack()) throw refuse('issuing_closed')
        const result = await commit(open, run, until)
        if (result) return result
        await refresh()
      }
      throw logUnavailable()
    })
  }
}
