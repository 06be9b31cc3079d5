/**
 * One stream of a watch. Pending changes are names and versions. A slow reader gets the latest state instead of every step
 * to it, and costs a bounded number of names.
 */
import { type Caller, isLiveCaller } from '../../authorize/caller.ts'
import { Refusal } from '../../errors.ts'
import { parseSecretPath } from '../../names/secret-path.ts'
import type { SecretChange } from '../../store/secret-changes.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type SecretCaller, secretCaller } from '../secrets/reader.ts'

/** How far a reader has come: it was sent every change up to this revision of this epoch. */
export type EventId = { epoch: number; revision: number }

/** The watcher's credential or its grant ended. */
export type EndReason = 'credential' | 'grant'

export type WatchEvent =
  | { kind: 'greeting' }
  | { kind: 'heartbeat' }
  | { kind: 'bundle'; sequence: number }
  /** `live` is absent for a secret that was deleted. `id` is set on the last event of a revision. */
  | { kind: 'secret'; path: string; live?: { version: number; revision: number }; id?: EventId }
  /** The events before were the watched set; with `complete: false`, the changes since the id that the reader presented. */
  | { kind: 'synced'; complete: boolean; id: EventId }
  | { kind: 'revoked'; reason: EndReason }

export type Watcher = {
  /** The id of a session, or `operator:<name>`. */
  holder: string
  caller: Caller
  paths: readonly string[]
  prefix?: string
  /** When the credential that opened the stream ends. */
  until?: Date
  /** Where an earlier stream of the reader was cut off. */
  since?: EventId
}

export type Stream = Watcher & {
  /** Changes to send, the latest of each path. */
  pending: Map<string, SecretChange>
  bundleChanged: boolean
  heartbeatDue: boolean
  /** Set once the stream ends. `silent`: the reader's own doing, or a stop of this process. */
  ended?: EndReason | 'silent'
  /** When the reader was offered events that it has not taken, and when it last took some. Milliseconds. */
  offeredAt?: number
  takenAt: number
  wake: () => void
  /** Ends the reply of a reader that takes nothing. */
  cut: AbortController
}

export const createStream = (watcher: Watcher, now: number): Stream => ({
  ...watcher,
  pending: new Map(),
  bundleChanged: true,
  heartbeatDue: false,
  takenAt: now,
  wake: () => undefined,
  cut: new AbortController(),
})

/** Changes may come out of order while a stream begins. */
export function addPending({ pending }: Pick<Stream, 'pending'>, change: SecretChange): void {
  const earlier = pending.get(change.path)
  if (!earlier || earlier.changed <= change.changed) pending.set(change.path, change)
}

export function end(stream: Stream, reason: NonNullable<Stream['ended']>): void {
  stream.ended ??= reason
  stream.wake()
}

type EventParts = {
  /** Up to where `pending` has received changes. */
  position: () => EventId
  bundleSequence: () => number
  mayWatch: (stream: Stream, path: string) => boolean
  /** Fills `pending` for the start. Returns whether that is the whole watched set. */
  begin: (stream: Stream) => Promise<boolean>
  /** Milliseconds. */
  now: () => number
}

/** More events leave in several batches, each of which the reader must have taken. */
const maxBatch = 200

export async function* eventsOf(stream: Stream, parts: EventParts): AsyncGenerator<WatchEvent[]> {
  const { now } = parts
  const offer = function* (events: WatchEvent[]): Generator<WatchEvent[]> {
    stream.offeredAt = now()
    yield events
    delete stream.offeredAt
    stream.takenAt = now()
    stream.heartbeatDue = false
  }

  let complete: boolean | undefined

  /** Only the last event has an id, once nothing is pending. */
  function nextEvents(): WatchEvent[] {
    const changes = [...stream.pending.values()].slice(0, maxBatch)
    for (const { path } of changes) stream.pending.delete(path)
    const allowed = changes.filter(({ path }) => parts.mayWatch(stream, path))
    const id = stream.pending.size === 0 ? parts.position() : undefined
    const events: WatchEvent[] = stream.bundleChanged ? [{ kind: 'bundle', sequence: parts.bundleSequence() }] : []
    stream.bundleChanged = false
    for (const [n, { path, live }] of allowed.entries()) {
      const isLast = complete === undefined && n === allowed.length - 1
      events.push({ kind: 'secret', path, ...(live && { live }), ...(isLast && id && { id }) })
    }
    if (complete !== undefined && id) {
      events.push({ kind: 'synced', complete, id })
      complete = undefined
    }
    return events
  }

  yield* offer([{ kind: 'greeting' }])
  complete = await parts.begin(stream)
  while (!stream.ended) {
    if (complete !== undefined || stream.pending.size > 0 || stream.bundleChanged) {
      const events = nextEvents()
      if (events.length > 0) yield* offer(events)
    } else if (stream.heartbeatDue) yield* offer([{ kind: 'heartbeat' }])
    else await new Promise<void>((resolve) => (stream.wake = resolve))
  }
  if (stream.ended !== 'silent') yield* offer([{ kind: 'revoked', reason: stream.ended }])
}

function callerOf({ caller }: Pick<Watcher, 'caller'>, snapshot: Snapshot): SecretCaller | undefined {
  try {
    return secretCaller({ caller }, snapshot)
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

/** The present grants of the caller decide what a stream may send, not those of its start. */
export const mayWatch = (watcher: Pick<Watcher, 'caller'>, path: string, snapshot: Snapshot): boolean =>
  callerOf(watcher, snapshot)?.may('watch', parseSecretPath(path)) ?? false

/**
 * Why the stream must end. A prefix loses single paths without ending; it ends once no path under it could be granted. Only
 * grants decide: an end that depended on which secrets exist would reveal them.
 */
export function endOf(watcher: Watcher, snapshot: Snapshot, now: Date): EndReason | undefined {
  const caller = callerOf(watcher, snapshot)
  if (!caller || !isLiveCaller(watcher.caller, snapshot, now)) return 'credential'
  const { paths, prefix } = watcher
  if (!paths.every((path) => caller.may('watch', parseSecretPath(path)))) return 'grant'
  return prefix === undefined || caller.mayUnder('watch', prefix) ? undefined : 'grant'
}
