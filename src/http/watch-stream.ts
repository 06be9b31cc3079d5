/**
 * One stream of a watch. What is to be told is kept as names alone and read from the snapshot when the reader takes it:
 * a reader that is slow is told what is, and not everything that was, and costs a bounded number of names.
 */
import type { Snapshot } from '../store/snapshot.ts'
import type { Caller } from '../authorize/caller.ts'
import {
  type Ended,
  type EventId,
  bundleEvent,
  eventIdOf,
  greeting,
  heartbeat,
  revokedEvent,
  secretEvent,
  syncedEvent,
} from './watch-events.ts'

export type Watcher = {
  /** As the list of consumers names it: the id of a session, or `operator:<name>`. */
  holder: string
  caller: Caller
  paths: readonly string[]
  prefix?: string
  /** When the credential that opened it ends. */
  until?: Date
  /** Where the reader was cut off before. */
  since?: EventId
}

export type Stream = Watcher & {
  /** Names to tell of. */
  pending: Set<string>
  bundle: boolean
  /** Why it ends, once it does; only what the reader did not bring about itself is told. */
  over?: Ended | 'quietly'
  beat: boolean
  /** When the reader was offered what it has not taken yet, and when it took the last, milliseconds. */
  offeredAt?: number
  takenAt: number
  wake: () => void
  /** Ends the reply also towards a reader that takes nothing. */
  cut: AbortController
}

export const createStream = (watcher: Watcher, now: number): Stream => ({
  ...watcher,
  pending: new Set(),
  bundle: true,
  beat: false,
  takenAt: now,
  wake: () => undefined,
  cut: new AbortController(),
})

export function end(stream: Stream, why: NonNullable<Stream['over']>): void {
  stream.over ??= why
  stream.wake()
}

export type Telling = {
  current: () => Snapshot
  sequence: () => number
  /** Whether the holder may hear of that name, now. */
  may: (stream: Stream, path: string) => boolean
  /** Puts into `pending` what is to be told first. Answers whether that is all there is. */
  begin: (stream: Stream) => Promise<boolean>
  /** Milliseconds. */
  now: () => number
}

/** So many events leave together; a large set leaves in parts, each of which the reader must have taken. */
const maxAtOnce = 200

export async function* tell(stream: Stream, parts: Telling): AsyncGenerator<string> {
  const { current, now } = parts
  const offer = function* (chunk: string): Generator<string> {
    stream.offeredAt = now()
    yield chunk
    delete stream.offeredAt
    stream.takenAt = now()
    stream.beat = false
  }

  let complete: boolean | undefined

  /** The state as it is when it leaves. An id is with the last event alone, once nothing is left to tell. */
  function next(): string {
    const snapshot = current()
    const paths = [...stream.pending].slice(0, maxAtOnce)
    for (const path of paths) stream.pending.delete(path)
    const heard = paths.filter((path) => parts.may(stream, path))
    const id = stream.pending.size === 0 ? eventIdOf(snapshot) : undefined
    const bundle = stream.bundle ? bundleEvent(parts.sequence()) : ''
    stream.bundle = false
    const idOf = (n: number): string | undefined => (complete === undefined && n === heard.length - 1 ? id : undefined)
    const events = heard.map((path, n) => secretEvent(path, snapshot.secrets.get(path), idOf(n)))
    const synced = complete !== undefined && id !== undefined ? syncedEvent(complete, id) : ''
    if (synced !== '') complete = undefined
    return bundle + events.join('') + synced
  }

  yield* offer(greeting)
  complete = await parts.begin(stream)
  while (!stream.over) {
    if (complete !== undefined || stream.pending.size > 0 || stream.bundle) {
      const chunk = next()
      if (chunk !== '') yield* offer(chunk)
    } else if (stream.beat) yield* offer(heartbeat)
    else await new Promise<void>((resolve) => (stream.wake = resolve))
  }
  if (stream.over !== 'quietly') yield* offer(revokedEvent(stream.over))
}
