/**
 * Every stream of this process: told of each newer snapshot, which every replica has within a second of a change, and
 * ended with the right to it. What a stream of another process does is not known here.
 */
import { refuse } from '../errors.ts'
import { bundleSequence } from '../keys/bundle.ts'
import type { Database } from '../store/database.ts'
import { changedSecrets } from '../store/secrets.ts'
import { liveSessions } from '../store/sessions.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import { staleAfterMs } from './freshness.ts'
import type { Reply } from './request.ts'
import { endOf, mayWatch } from './watch-right.ts'
import { type Stream, type Watcher, createStream, end, tell } from './watch-stream.ts'

export type Watches = {
  /** @throws Refusal `rate_limited` where there are too many, `unavailable` where this process stops */
  admit(holder: string): void
  /** The stream as a reply: it begins when the reply leaves, and counts from then on. */
  reply(watcher: Watcher): Reply
  /** Whether a stream of this process watches that path for the session. Across replicas it is not known. */
  watching(path: string, session: string): boolean
  count(): number
  /** Ends every stream, which would keep its connection until the deadline of a stop, and admits no more. */
  close(): void
}

export type WatchParts = {
  db: Pick<Database, 'knex'>
  snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh' | 'onChange'>
  now: () => Date
  config: { maxConnections: number; workers: number }
  onError: (error: unknown) => void
}

/** Of one session, or one operator. */
const maxForEach = 16
const tickMs = 1000
const heartbeatMs = 15_000
/** A reader that has not taken what it was offered for so long is let go; it may come again and be told the rest. */
const slowMs = 10_000
/** Sessions that ended otherwise than by a block are looked up this often, all at once. */
const lookUpMs = 2000
/** As much patience as at the door: a machine may only have been busy. */
const behindMs = staleAfterMs + 1000

export function createWatches({ db, snapshots, now, config, onError }: WatchParts): Watches {
  // A watch holds a connection, and watches leave half of them to others.
  const max = Math.ceil(config.maxConnections / config.workers / 2)
  const streams = new Set<Stream>()
  const byPath = new Map<string, Set<Stream>>()
  const ms = (): number => now().getTime()
  const sequence = (): number => bundleSequence(snapshots.current(), now())
  let told = sequence()
  let closed = false
  let lookedUp = -Infinity
  let lookingUp = false

  const of = (path: string): Stream[] => [
    ...(byPath.get(path) ?? []),
    ...[...streams].filter(({ prefix }) => prefix !== undefined && path.startsWith(prefix)),
  ]

  function add(stream: Stream): void {
    streams.add(stream)
    for (const path of stream.paths) byPath.set(path, (byPath.get(path) ?? new Set()).add(stream))
  }

  function remove(stream: Stream): void {
    streams.delete(stream)
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
    if (streams.size >= max)
      throw refuse('rate_limited', { detail: 'this replica holds as many watches as it may', retryAfterSeconds: 5 })
  }

  /** All of it, unless the id that was shown says what was told already. */
  async function begin(stream: Stream): Promise<boolean> {
    const { since, prefix } = stream
    if (since && since.revision > snapshots.current().revision) await snapshots.refresh().catch(onError)
    const { epoch, revision, secrets } = snapshots.current()
    if (since && since.epoch === epoch && since.revision <= revision) {
      const rows = await changedSecrets(db.knex, since.revision, stream)
      // What this replica has not seen yet, it will be told.
      for (const row of rows) if (row.changed <= snapshots.current().revision) stream.pending.add(row.path)
      return false
    }
    for (const path of stream.paths) stream.pending.add(path)
    if (prefix !== undefined) for (const path of secrets.keys()) if (path.startsWith(prefix)) stream.pending.add(path)
    return true
  }

  async function* run(stream: Stream): AsyncGenerator<string> {
    admit(stream.holder)
    add(stream)
    try {
      const { current } = snapshots
      yield* tell(stream, {
        current,
        sequence,
        may: (stream, path) => mayWatch(stream, path, current()),
        begin,
        now: ms,
      })
    } finally {
      remove(stream)
    }
  }

  function tellBundle(): void {
    const next = sequence()
    if (next === told) return
    told = next
    for (const stream of streams) {
      stream.bundle = true
      stream.wake()
    }
  }

  snapshots.onChange((next, previous) => {
    if (streams.size === 0) return void (told = sequence())
    if (isOtherwise(next, previous)) {
      for (const stream of streams) {
        const why = next.epoch === previous.epoch ? endOf(stream, next, now()) : 'credential'
        if (why) end(stream, why)
      }
    }
    for (const path of changedPaths(next, previous)) {
      for (const stream of of(path)) {
        stream.pending.add(path)
        stream.wake()
      }
    }
    tellBundle()
  })

  async function lookUp(): Promise<void> {
    const sessions = [...streams].flatMap(({ caller }) => (caller.kind === 'session' ? [caller.session.id] : []))
    const live = await liveSessions(db.knex, [...new Set(sessions)], now())
    for (const stream of streams) {
      const { caller } = stream
      if (caller.kind !== 'session' || !sessions.includes(caller.session.id)) continue
      const session = live.get(caller.session.id)
      if (!session) end(stream, 'credential')
      else if (session.facts !== caller.session.facts) {
        stream.caller = { ...caller, session: { ...caller.session, ...session } }
        const why = endOf(stream, snapshots.current(), now())
        if (why) end(stream, why)
      }
    }
  }

  const timer = setInterval(() => {
    if (streams.size === 0) return
    const at = ms()
    const isBehind = snapshots.age() > behindMs
    for (const stream of streams) {
      if (isBehind || (stream.until && stream.until.getTime() <= at)) end(stream, 'quietly')
      else if (stream.offeredAt !== undefined && at - stream.offeredAt > slowMs) stream.cut.abort()
      else if (at - stream.takenAt >= heartbeatMs && !stream.beat) {
        stream.beat = true
        stream.wake()
      }
    }
    tellBundle()
    if (lookingUp || at - lookedUp < lookUpMs) return
    lookedUp = at
    lookingUp = true
    lookUp()
      .catch(onError)
      .finally(() => (lookingUp = false))
  }, tickMs)
  timer.unref()

  return {
    admit,
    reply(watcher) {
      const stream = createStream(watcher, ms())
      const live = { cut: stream.cut.signal, onClose: () => end(stream, 'quietly') }
      return {
        headers: { 'x-accel-buffering': 'no' },
        body: { stream: run(stream), type: 'text/event-stream', live },
      }
    },
    watching: (path, session) => of(path).some(({ holder, over }) => holder === session && !over),
    count: () => streams.size,
    close() {
      closed = true
      clearInterval(timer)
      for (const stream of streams) end(stream, 'quietly')
    },
  }
}

/** Whether anything else than secrets changed: then each stream's right to be is judged anew. */
const isOtherwise = (next: Snapshot, previous: Snapshot): boolean =>
  next.epoch !== previous.epoch ||
  next.workloads !== previous.workloads ||
  next.attestors !== previous.attestors ||
  next.blocks !== previous.blocks ||
  next.apiTokens !== previous.apiTokens ||
  next.keys !== previous.keys

function changedPaths({ secrets: next }: Snapshot, { secrets: previous }: Snapshot): string[] {
  if (next === previous) return []
  const changed = [...next].flatMap(([path, row]) => (previous.get(path) === row ? [] : [path]))
  return [...changed, ...[...previous.keys()].filter((path) => !next.has(path))]
}
