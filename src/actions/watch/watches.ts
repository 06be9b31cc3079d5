/**
 * The streams of this process. Each newer snapshot reaches every replica within a second of a change; it feeds the streams
 * and ends those whose right ended. Streams of other processes are not known here.
 */
import { refuse } from '../../errors.ts'
import { bundleSequence } from '../../keys/bundle.ts'
import type { Database } from '../../store/database.ts'
import { liveSessions } from '../../store/sessions.ts'
import type { Snapshot, SnapshotUpdate, Snapshots } from '../../store/snapshot.ts'
import { staleAfterMs } from '../freshness.ts'
import {
  type EventId,
  type Stream,
  type WatchEvent,
  type Watcher,
  addPending,
  createStream,
  end,
  endOf,
  eventsOf,
  mayWatch,
} from './stream.ts'
import type { SecretFeed } from './feed.ts'

export type OpenWatch = {
  /** Batches of events. The stream counts as open once they are read. */
  events: AsyncIterable<WatchEvent[]>
  /** Aborted for a reader that takes nothing. */
  cut: AbortSignal
  close: () => void
}

export type Watches = {
  /** @throws Refusal `rate_limited` where there are too many, `unavailable` where this process stops */
  admit(holder: string): void
  open(watcher: Watcher): OpenWatch
  /** Whether a stream of this process watches the path for the session. */
  isWatching(session: string, path: string): boolean
  count(): number
  /** Ends every stream, which would keep its connection until the deadline of a stop, and admits no more. */
  close(): void
}

export type WatchParts = {
  db: Pick<Database, 'knex'>
  snapshots: Pick<Snapshots, 'current' | 'age' | 'onChange'>
  feed: SecretFeed
  now: () => Date
  config: { maxConnections: number; workers: number }
  onError: (error: unknown) => void
}

/** Streams of one session or operator. */
const maxForEach = 16
const tickMs = 1000
const heartbeatMs = 15_000
/** A reader that does not take what it was offered for this long is cut off. It may resume with the id of its last event. */
const slowMs = 10_000
/** The interval of the query for sessions that ended without a block, one for all streams. */
const lookUpMs = 2000
/** As patient as `freshSnapshot`: the machine may only be busy. */
const behindMs = staleAfterMs + 1000

export function createWatches({ db, snapshots, feed, now, config, onError }: WatchParts): Watches {
  // A watch holds a connection; half of the connections stay free for other requests.
  const maxStreams = Math.ceil(config.maxConnections / config.workers / 2)
  const streams = new Set<Stream>()
  const byPath = new Map<string, Set<Stream>>()
  const ms = (): number => now().getTime()
  const position = (): EventId => ({ epoch: snapshots.current().epoch, revision: feed.position() })
  const sequence = (): number => bundleSequence(snapshots.current(), now())
  let sentSequence = sequence()
  let closed = false
  let lookedUpAt = -Infinity
  let lookingUp = false

  const streamsFor = (path: string): Stream[] => [
    ...(byPath.get(path) ?? []),
    ...[...streams].filter(({ prefix }) => prefix !== undefined && path.startsWith(prefix)),
  ]

  function add(stream: Stream): void {
    if (streams.size === 0) feed.start()
    streams.add(stream)
    for (const path of stream.paths) byPath.set(path, (byPath.get(path) ?? new Set()).add(stream))
  }

  function remove(stream: Stream): void {
    streams.delete(stream)
    if (streams.size === 0) feed.pause()
    for (const path of stream.paths) {
      const others = byPath.get(path)
      others?.delete(stream)
      if (others?.size === 0) byPath.delete(path)
    }
  }

  function admit(holder: string): void {
    if (closed) throw refuse('unavailable', { detail: 'this replica is about to stop', retryAfterSeconds: 1 })
    const own = [...streams].filter((stream) => stream.holder === holder).length
    if (own >= maxForEach)
      throw refuse('rate_limited', {
        detail: `${maxForEach} watches of one session are the most`,
        retryAfterSeconds: 5,
      })
    if (streams.size >= maxStreams)
      throw refuse('rate_limited', { detail: 'this replica holds as many watches as it may', retryAfterSeconds: 5 })
  }

  /** Sends the whole watched set, unless the id that the reader presented shows what it was sent before. */
  async function begin(stream: Stream): Promise<boolean> {
    const { since } = stream
    await feed.catchUp()
    const { epoch, revision } = position()
    const goesOn = since !== undefined && since.epoch === epoch && since.revision <= revision
    const changes = goesOn ? await feed.changedSince(since.revision, stream) : await feed.live(stream)
    for (const change of changes) addPending(stream, change)
    // Watched paths without a secret.
    for (const path of goesOn ? [] : stream.paths)
      if (!stream.pending.has(path)) addPending(stream, { path, changed: 0 })
    // The feed comes up to what was read, so that it does not deliver a change that was sent.
    await feed.catchUp()
    return !goesOn
  }

  async function* run(stream: Stream): AsyncGenerator<WatchEvent[]> {
    admit(stream.holder)
    add(stream)
    try {
      const { current } = snapshots
      yield* eventsOf(stream, {
        position,
        bundleSequence: sequence,
        mayWatch: (watcher, path) => mayWatch(watcher, path, current()),
        begin,
        now: ms,
      })
    } finally {
      remove(stream)
    }
  }

  function sendBundle(): void {
    const next = sequence()
    if (next === sentSequence) return
    sentSequence = next
    for (const stream of streams) {
      stream.bundleChanged = true
      stream.wake()
    }
  }

  function endIfBarred(stream: Stream, snapshot: Snapshot): void {
    const reason = endOf(stream, snapshot, now())
    if (reason) end(stream, reason)
  }

  snapshots.onChange(({ next, previous, rows }) => {
    if (streams.size === 0) return void (sentSequence = sequence())
    if (next.epoch !== previous.epoch) for (const stream of streams) end(stream, 'credential')
    else if (mayChangeRights(rows)) for (const stream of streams) endIfBarred(stream, next)
    sendBundle()
  })
  feed.onChanges((changes) => {
    for (const change of changes) {
      for (const stream of streamsFor(change.path)) {
        addPending(stream, change)
        stream.wake()
      }
    }
  })

  async function lookUpSessions(): Promise<void> {
    const ids = [...streams].flatMap(({ caller }) => (caller.kind === 'session' ? [caller.session.id] : []))
    const live = await liveSessions(db.knex, [...new Set(ids)], now())
    for (const stream of streams) {
      const { caller } = stream
      if (caller.kind !== 'session' || !ids.includes(caller.session.id)) continue
      const session = live.get(caller.session.id)
      if (!session) end(stream, 'credential')
      else if (session.facts !== caller.session.facts) {
        stream.caller = { ...caller, session: { ...caller.session, ...session } }
        endIfBarred(stream, snapshots.current())
      }
    }
  }

  function tick(): void {
    if (streams.size === 0) return
    const at = ms()
    const isBehind = snapshots.age() > behindMs
    for (const stream of streams) {
      if (isBehind || (stream.until && stream.until.getTime() <= at)) end(stream, 'silent')
      else if (stream.offeredAt !== undefined && at - stream.offeredAt > slowMs) stream.cut.abort()
      else if (at - stream.takenAt >= heartbeatMs && !stream.heartbeatDue) {
        stream.heartbeatDue = true
        stream.wake()
      }
    }
    sendBundle()
    if (lookingUp || at - lookedUpAt < lookUpMs) return
    lookedUpAt = at
    lookingUp = true
    lookUpSessions()
      .catch(onError)
      .finally(() => (lookingUp = false))
  }

  const timer = setInterval(tick, tickMs)
  timer.unref()

  return {
    admit,
    open(watcher) {
      const stream = createStream(watcher, ms())
      return { events: run(stream), cut: stream.cut.signal, close: () => end(stream, 'silent') }
    },
    isWatching: (session, path) => streamsFor(path).some(({ holder, ended }) => holder === session && !ended),
    count: () => streams.size,
    close() {
      closed = true
      clearInterval(timer)
      feed.stop()
      for (const stream of streams) end(stream, 'silent')
    },
  }
}

/** Then the right of each stream is judged anew. */
const mayChangeRights = (rows: SnapshotUpdate['rows']): boolean =>
  [rows.workloads, rows.attestors, rows.blocks, rows.apiTokens, rows.operators, rows.keys].some(
    (changed) => changed !== undefined,
  )
