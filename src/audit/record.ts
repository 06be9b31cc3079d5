/**
 * The one door to the log: decide, append, release. A reply exists for its caller only after its entry is durable, so a
 * handler can't answer before the record and can't forget it.
 */
import { type Receipt } from '@purser/sdk/verify'
import { type ProvenCaller, type RefusalCode, refuse } from '../errors.ts'
import type { Database, Knex } from '../store/database.ts'
import { isConnectionError, isExhausted } from '../store/database.ts'
import type { Effects } from '../store/effects.ts'
import type { AppendItem } from '../store/log.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import { createChanges } from './change.ts'
import type { EntryPart, Issued } from './entry.ts'
import type { GroupCommit } from './group-commit.ts'
import { type Log, type Position, type Since, makeReceipt } from './log.ts'
import { logUnavailable, patience, retryUntil } from './lost-batch.ts'
import { type Opening, type Sealed, makeEntry, seal } from './seal.ts'

/**
 * What the last try taught: the newest generation of the caller's sessions that ended, when the one it used had; and that
 * a proof was used before with the same key, so that only what is bound to the key may be released; and that the facts of
 * the caller's session changed since it was read.
 */
export type Hints = { endedGeneration?: number; repeated?: true; factsChanged?: true }

/** A decision to give something out, signed and ready, not yet released. */
export type Release<R> = {
  result: R
  entry: EntryPart
  /** What the append does beside adding the entry. */
  effects?: Effects
  /** Given also while issuing is closed for review: the server's own certificate, what auditors read. */
  whileClosed?: true
  /** Whether the same decision, with the same bytes, would be made under a newer snapshot. */
  holds?: (snapshot: Snapshot) => boolean
  /** Takes back what was done outside for it. Runs where nothing of it leaves: it is decided again, or refused. */
  undo?: () => Promise<void>
  /** What refusals of the caller are counted by, where its proof was verified for this. */
  proven?: ProvenCaller
  /** What the caller is refused with where somebody else's claim came first; unless given, a proof that was used. */
  claimed?: () => Promise<Error>
}

/** A state change that was made in the transaction, and the rows that replicas must read anew. */
export type Change<R> = {
  result: R
  entry: EntryPart
  /** Further entries of the same change, appended after the first. */
  more?: EntryPart[]
  changed?: Changed[]
  /**
   * Runs in the transaction under the head lock, once the first entry has its place: for a row that must name it, and for
   * rows that the group commit locks too (sessions), which nobody may hold who still waits for the head.
   */
  placed?: (epoch: number, index: number) => Promise<unknown>
}
export type Changed = {
  table: 'attestor' | 'workload' | 'account_pin' | 'block' | 'api_token' | 'signing_key' | 'secret' | 'database'
  where: Record<string, string>
}

export type Recorded<R> = {
  result: R
  epoch: number
  index: number
  receipt: (since?: Since) => Promise<Receipt>
}

export type Recorder = {
  /** Runs `decide` and appends its entry in the group commit; decides again when the state moved on. */
  grant<R>(open: Opening, decide: (snapshot: Snapshot, hints: Hints) => Promise<Release<R>>): Promise<Recorded<R>>
  /** Runs `run` in a transaction whose last act is the entry. */
  change<R>(open: Opening, run: (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<R>>): Promise<Recorded<R>>
  /** Records what was not given. `failed` is our own fault. */
  note(
    open: Opening,
    outcome: 'refused' | 'failed',
    part: EntryPart & { reason?: RefusalCode },
  ): Promise<Recorded<undefined>>
}

const maxTries = 3
/** A decision that is still right is appended again: each time that it came too late, somebody else's change was made. */
const maxAppends = 50

type Parts = {
  db: Pick<Database, 'knex'>
  log: Log
  commit: GroupCommit
  snapshots: Pick<Snapshots, 'current' | 'refresh'>
  randomBytes: (size: number) => Buffer
  /** Wall clock, milliseconds. */
  now: () => number
  onError?: (error: unknown) => void
  /** Told of what was given out, once its entry is durable. */
  onIssued?: (issued: Issued) => void
}

export function createRecorder({ db, log, commit, snapshots, randomBytes, now, onError, onIssued }: Parts): Recorder {
  const recorded = <R>(reply: R, sealed: Sealed, position: Position): Recorded<R> => ({
    result: reply,
    epoch: position.epoch,
    index: position.index,
    receipt: (since) => makeReceipt(log, sealed, position, since),
  })
  const sealPart = (open: Opening, part: EntryPart & { reason?: RefusalCode }): Sealed =>
    seal(makeEntry(open, part), randomBytes)

  /** Postgres out of reach or out of room is no fault of ours: nothing was given out, and the caller may come again. */
  async function reachable<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isConnectionError(error) && !isExhausted(error)) throw error
      onError?.(error)
      throw logUnavailable()
    }
  }

  const refresh = (): Promise<Snapshot> => retryUntil(db.knex, snapshots.refresh, { until: now() + patience, now })

  /** Appends one decision; answers nothing when it must be made again. */
  async function place<R>(
    release: Release<R>,
    sealed: Sealed,
    revision: number,
    hints: Hints,
  ): Promise<Position | undefined> {
    const { leaf, nonce, body, at, terms } = sealed
    const { effects = {}, whileClosed } = release
    const item: AppendItem = { revision, leaf, nonce, body, at, terms, effects, ...(whileClosed && { whileClosed }) }
    for (let tries = 0; tries < maxAppends; tries++) {
      const placed = await commit.append(item)
      switch (placed.kind) {
        case 'appended':
          return placed.position
        case 'claimed':
          if (release.claimed) throw await release.claimed()
          throw refuse(effects.joinToken ? 'join_token' : 'proof_replayed', {
            ...(release.entry.actor && { actor: release.entry.actor }),
            ...(release.proven && { proven: release.proven }),
          })
        case 'facts':
          hints.factsChanged = true
          return undefined
        case 'repeated':
          hints.repeated = true
          return undefined
        case 'closed':
          throw refuse('issuing_closed')
        case 'lapsed':
          throw logUnavailable()
        case 'ended':
          if (effects.liveSession) throw refuse('unauthenticated')
          hints.endedGeneration = placed.generation
          return undefined
        case 'epoch':
          await refresh()
          throw refuse('issuing_closed')
        case 'stale': {
          const snapshot = await refresh()
          if (!release.holds?.(snapshot)) return undefined
          item.revision = snapshot.revision
        }
      }
    }
    return undefined
  }

  const commitChange = createChanges({ db, log, snapshots, now, seal: sealPart, recorded, refresh })

  return {
    grant: (open, decide) =>
      reachable(async () => {
        const hints: Hints = {}
        for (let tries = 0; tries < maxTries; tries++) {
          if (log.rolledBack()) throw refuse('issuing_closed')
          const snapshot = snapshots.current()
          const release = await decide(snapshot, hints)
          const sealed = sealPart(open, release.entry)
          let position: Position | undefined
          try {
            position = await place(release, sealed, snapshot.revision, hints)
          } finally {
            if (!position) await release.undo?.()
          }
          if (!position) continue
          if (release.entry.issued) onIssued?.(release.entry.issued)
          return recorded(release.result, sealed, position)
        }
        throw refuse('log_unavailable', { retryAfterSeconds: 1 })
      }),

    change: (open, run) => reachable(() => commitChange(open, run)),

    async note(open, outcome, part) {
      const sealed = sealPart(open, { ...part, outcome })
      const placed = await commit.append(sealed)
      if (placed.kind !== 'appended') throw refuse('issuing_closed')
      return recorded(undefined, sealed, placed.position)
    },
  }
}
