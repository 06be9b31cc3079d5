/**
 * The only entry point of the log: decide, append, release. A result is released only after its entry is durable, so an
 * action can neither answer before the record exists nor omit the record.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type ProvenCaller, type RefusalCode, refuse } from '../errors.ts'
import type { Database, Knex } from '../store/database.ts'
import { isConnectionError, isExhausted } from '../store/database.ts'
import type { Effects } from '../store/effects.ts'
import type { AppendItem } from '../store/append-wire.ts'
import type { Issued } from '../store/issued.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import { type Change, type Recorded, createChanges } from './change.ts'
import type { EntryPart } from './entry.ts'
import type { GroupCommit } from './group-commit.ts'
import { type Log, type Position, makeReceipt } from './log.ts'
import { logUnavailable, patience, retryUntil } from './lost-batch.ts'
import { type Opening, type Sealed, makeEntry, seal } from './seal.ts'

/**
 * What a failed try found. `endedGeneration`: the session had ended; this is the newest ended generation. `repeated`: the
 * proof was used before with the same key, so only credentials that are bound to the key may be released. `factsChanged`:
 * the facts of the caller's session changed after they were read. `secretsMoved`: a secret changed after it was read.
 */
export type Hints = { endedGeneration?: number; repeated?: true; factsChanged?: true; secretsMoved?: true }

/** A decision to issue something, signed and ready, but not yet released. */
export type Release<R> = {
  result: R
  entry: EntryPart
  /** The effects of the append beside the entry. */
  effects?: Effects
  /** Released also while issuing is closed for review, such as the server's own certificate and reads of auditors. */
  whileClosed?: true
  /** Whether a newer snapshot leads to the same decision with the same bytes. */
  holds?: (snapshot: Snapshot) => boolean
  /** Runs once the entry is durable. */
  appended?: () => void
  /** Reverts outside effects of the decision. Runs when it is not released, but refused or decided again. */
  undo?: () => Promise<void>
  /** The caller whose refusals are counted, when its proof was verified. */
  proven?: ProvenCaller
  /** The refusal when another claim came first; by default that the proof was used before. */
  claimed?: () => Promise<Error>
}

export type { Change, Changed, Recorded } from './change.ts'

/** Whether an error says that the database cannot be reached. */
export const isDatabaseAway = (error: unknown): boolean => isConnectionError(error)

export type Recorder = {
  /** Runs `decide` and appends its entry in the group commit. Decides again when the state has changed. */
  grant<R>(open: Opening, decide: (snapshot: Snapshot, hints: Hints) => Promise<Release<R>>): Promise<Recorded<R>>
  /** Runs `run` in a transaction whose last act is the entry. */
  change<R>(open: Opening, run: (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<R>>): Promise<Recorded<R>>
  /** Records a refusal, or a failure of Purser. */
  note(
    open: Opening,
    outcome: 'refused' | 'failed',
    part: EntryPart & { reason?: RefusalCode },
  ): Promise<Recorded<undefined>>
}

const maxTries = 3
/** A secret may be written often, and its row is locked while a change of it waits for the head. */
const maxTriesOfMoved = 50
/** A decision that still holds is appended again. Each such try follows a concurrent change. */
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
  /** Called with the issued credentials once their entry is durable. */
  onIssued?: (issued: Issued) => void
}

export function createRecorder({ db, log, commit, snapshots, randomBytes, now, onError, onIssued }: Parts): Recorder {
  const recorded = <R>(result: R, sealed: Sealed, position: Position): Recorded<R> => ({
    result,
    epoch: position.epoch,
    index: position.index,
    receipt: (since) => makeReceipt(log, sealed, position, since),
  })
  const sealPart = (open: Opening, part: EntryPart & { reason?: RefusalCode }): Sealed =>
    seal(makeEntry(open, part), randomBytes)

  /** Turns an unreachable or exhausted Postgres into a refusal: nothing was released, and the caller may retry. */
  async function requireDatabase<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isConnectionError(error) && !isExhausted(error)) throw error
      onError?.(error)
      throw logUnavailable()
    }
  }

  const refresh = (): Promise<Snapshot> => retryUntil(db.knex, snapshots.refresh, { until: now() + patience, now })

  /** Appends one decision. Returns undefined when it must be decided again. */
  async function append<R>(
    release: Release<R>,
    sealed: Sealed,
    revision: number,
    hints: Hints,
  ): Promise<Position | undefined> {
    const { leaf, nonce, body, at, terms } = sealed
    const { effects = {}, whileClosed } = release
    const item: AppendItem = { revision, leaf, nonce, body, at, terms, effects, ...(whileClosed && { whileClosed }) }
    for (let tries = 0; tries < maxAppends; tries++) {
      const outcome = await commit.append(item)
      switch (outcome.kind) {
        case 'appended':
          return outcome.position
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
        case 'moved':
          hints.secretsMoved = true
          return undefined
        case 'unknown':
          throw refuse('not_found')
        case 'closed':
          throw refuse('issuing_closed')
        case 'lapsed':
          throw logUnavailable()
        case 'ended':
          if (effects.liveSession) throw refuse('unauthenticated')
          hints.endedGeneration = outcome.generation
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
      requireDatabase(async () => {
        const hints: Hints = {}
        for (let tries = 0; tries < (hints.secretsMoved ? maxTriesOfMoved : maxTries); tries++) {
          if (log.rolledBack()) throw refuse('issuing_closed')
          if (hints.secretsMoved) await pause(tries)
          const snapshot = snapshots.current()
          const release = await decide(snapshot, hints)
          const sealed = sealPart(open, release.entry)
          let position: Position | undefined
          try {
            position = await append(release, sealed, snapshot.revision, hints)
          } finally {
            if (!position) await release.undo?.()
          }
          if (!position) continue
          if (release.entry.issued) onIssued?.(release.entry.issued)
          release.appended?.()
          return recorded(release.result, sealed, position)
        }
        throw refuse('log_unavailable', { retryAfterSeconds: 1 })
      }),

    change: (open, run) => requireDatabase(() => commitChange(open, run)),

    async note(open, outcome, part) {
      const sealed = sealPart(open, { ...part, outcome })
      const appended = await commit.append(sealed)
      if (appended.kind !== 'appended') throw refuse('issuing_closed')
      return recorded(undefined, sealed, appended.position)
    },
  }
}
