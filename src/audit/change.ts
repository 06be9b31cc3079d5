/** A change of state: its SQL and its entry in one transaction, the entry last, under the head lock. */
import { Refusal, refuse } from '../errors.ts'
import { UnknownWrappingKey } from '../keys/keyring.ts'
import { markChanged } from '../store/changes.ts'
import type { Database, Knex } from '../store/database.ts'
import { isConnectionError, isLockTimeout } from '../store/database.ts'
import { appendItems, lockHead, newBatchId, readHead } from '../store/log.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import type { Actor, EntryPart } from './entry.ts'
import type { Log, Position } from './log.ts'
import { freeHead, logUnavailable, resolveLostBatch, patience, retryUntil } from './lost-batch.ts'
import type { Change, Recorded } from './record.ts'
import type { Opening, Sealed } from './seal.ts'

type Parts = {
  db: Pick<Database, 'knex'>
  log: Pick<Log, 'epoch' | 'size' | 'advance' | 'rolledBack'>
  snapshots: Pick<Snapshots, 'current'>
  refresh: () => Promise<Snapshot>
  now: () => number
  seal: (open: Opening, part: EntryPart) => Sealed
  recorded: <R>(reply: R, sealed: Sealed, position: Position) => Recorded<R>
}

type Run<R> = (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<R>>

/** One that came too late is made again: with others at every replica, it is one of a few each time. */
const maxTries = 50
/** More can't have their turn before their patience ends. */
const maxWaiting = 500
/** What workloads acknowledge and renew leaves places for operators; and one of them leaves some for the others. */
const maxOfWorkloads = 250
const maxOfOneWorkload = 50
/** Thrown inside a transaction, so that it rolls back. */
const stale = new Error('decided under an older revision')

const crowded = (): Error =>
  refuse('log_unavailable', { retryAfterSeconds: 2, detail: 'too many changes wait for their turn' })

function isCrowded(waiting: readonly Actor[], { kind, workloadId }: Actor): boolean {
  if (waiting.length >= maxWaiting) return true
  if (kind !== 'workload') return false
  const likewise = waiting.filter((actor) => actor.kind === 'workload')
  return (
    likewise.length >= maxOfWorkloads ||
    likewise.filter((actor) => actor.workloadId === workloadId).length >= maxOfOneWorkload
  )
}

export function createChanges(parts: Parts): <R>(open: Opening, run: Run<R>) => Promise<Recorded<R>> {
  const { db, log, snapshots, refresh, now } = parts

  /** Changes of one process go one after the other: beside each other they would only make each other stale. */
  let turn: Promise<unknown> = Promise.resolve()
  const waiting: Actor[] = []
  async function inTurn<T>(actor: Actor, work: () => Promise<T>): Promise<T> {
    if (isCrowded(waiting, actor)) throw crowded()
    waiting.push(actor)
    const result = turn.then(work).finally(() => waiting.splice(waiting.indexOf(actor), 1))
    turn = result.catch(() => undefined)
    return result
  }

  /** Whoever makes something at one replica and uses it at the next isn't told that there is no such thing. */
  async function isBehind({ revision }: Snapshot): Promise<boolean> {
    const head = await readHead(db.knex)
    return head !== undefined && head.epoch === log.epoch() && head.revision !== revision
  }

  /** Answers nothing when it must be made again: then nothing of it was kept. */
  async function commit<R>(open: Opening, run: Run<R>, until: number): Promise<Recorded<R> | undefined> {
    const snapshot = snapshots.current()
    const batch = newBatchId()
    let made: { change: Change<R>; sealed: Sealed[]; first: number } | undefined
    const from = log.size()
    try {
      await db.knex.transaction(async (tx) => {
        const change = await run(tx, snapshot)
        const sealed = [change.entry, ...(change.more ?? [])].map((part) => parts.seal(open, part))
        const head = await lockHead(tx)
        if (head.epoch !== log.epoch()) throw refuse('issuing_closed')
        if (head.revision !== snapshot.revision) throw stale
        made = { change, sealed, first: head.size }
        await markChanged(tx, head.revision + 1, change.changed ?? [])
        await change.placed?.(head.epoch, head.size)
        const { verdicts } = await appendItems(tx, batch, head.epoch, sealed)
        if (verdicts.size > 0) throw refuse('issuing_closed')
      })
    } catch (error) {
      if (error === stale) return undefined
      const mayBeBehind = error instanceof Refusal || error instanceof UnknownWrappingKey
      if (mayBeBehind && (await isBehind(snapshot))) return undefined
      // Postgres ends one of two transactions that wait for each other: nothing of it is left, so it goes again.
      if (isLockTimeout(error)) return void (await freeHead(db.knex))
      if (!isConnectionError(error)) throw error
      // COMMIT's answer may have been lost: look, don't guess.
      const found = made && (await resolveLostBatch(db.knex, { batch, epoch: log.epoch(), from }, { until, now }))
      if (!found || found.size === 0) return undefined
    }
    if (!made) throw new Error('a change ended without an outcome')
    const { change, sealed, first } = made
    const leaves = sealed.map((one) => one.leaf)
    // It is durable: what is left is to read the entries before it, and to prove it.
    const advance = () => log.advance(log.epoch(), first, leaves)
    const positions = await retryUntil(db.knex, advance, { until: now() + patience, now })
    await refresh().catch(() => undefined)
    const [entry, position] = [sealed[0], positions[0]]
    if (!entry || !position) throw new Error('a change was placed nowhere')
    return parts.recorded(change.result, entry, position)
  }

  return (open, run) => {
    const until = now() + patience
    return inTurn(open.actor, async () => {
      for (let tries = 0; tries < maxTries && now() < until; tries++) {
        if (log.rolledBack()) throw refuse('issuing_closed')
        const done = await commit(open, run, until)
        if (done) return done
        await refresh()
      }
      throw logUnavailable()
    })
  }
}
