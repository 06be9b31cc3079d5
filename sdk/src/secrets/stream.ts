/** The one event stream of a client: opened for the watched paths, and reopened as long as there are any. */
import type { OpenRequest } from '../connection/open-stream.ts'
import { PurserError, purserErrorFrom } from '../errors.ts'
import { parseFields, text, whole } from '../json/fields.ts'
import { createClosing } from '../time/closing.ts'
import { delayAfter, sleep } from '../time/retry.ts'
import { type ServerEvent, readEvents } from './sse.ts'

/** The live version of a secret; undefined where it has none. */
type Announcement = { path: string; version: number | undefined }

type Parts = {
  open: (
    paths: readonly string[],
    lastEventId: OpenRequest['lastEventId'],
    signal: AbortSignal,
  ) => Promise<AsyncIterable<Uint8Array>>
  onAnnouncement: (announcement: Announcement) => void
  onBundle: (sequence: number) => void
  /** Every change during the interruption has been announced. */
  onUp: () => void
  /** Why there is no stream now, and for which paths. */
  onDown: (error: PurserError, paths: readonly string[]) => void
  closing: AbortSignal
  random: () => number
  elapsed: () => number
}

/** A stream that ends sooner counts as a failure; otherwise two servers could keep each other busy. */
const minUpMs = 5_000
/** The clients of a stopping replica spread their reconnection over this time. */
const reconnectMs = 1_000
/** Pause before a refused path is requested again, together with the others. */
const refusedMs = 300_000

const replaced = (): PurserError => new PurserError('aborted', 'another stream replaces this one')

export function createWatchStream(parts: Parts) {
  const { open, onAnnouncement, onBundle, onUp, onDown, closing, random, elapsed } = parts
  const refusedAt = new Map<string, number>()
  let watched: readonly string[] = []
  let lastEventId: string | undefined
  let attempt: AbortController | undefined
  let isRunning = false
  closing.addEventListener('abort', () => attempt?.abort(closing.reason), { once: true })

  /** @returns whether every change has been announced now */
  function handle({ name, data, id }: ServerEvent, paths: readonly string[]): boolean {
    if (name === 'secret') {
      const event = parseFields(data, 'an event')
      const path = text(event.path, 'path')
      const version = event.deleted === true ? undefined : whole(event.version, 'version')
      if (paths.includes(path)) onAnnouncement({ path, version })
    } else if (name === 'bundle') onBundle(whole(parseFields(data, 'an event').sequence, 'sequence'))
    if (id !== undefined && /^[!-~]{1,64}$/.test(id)) lastEventId = id
    return name === 'synced'
  }

  /** Resolves when the server ends the stream. @returns milliseconds for which it was up */
  async function follow(paths: readonly string[], signal: AbortSignal): Promise<number> {
    let upAt: number | undefined
    for await (const event of readEvents(await open(paths, lastEventId, signal))) {
      if (signal.aborted) break
      if (!handle(event, paths)) continue
      upAt ??= elapsed()
      onUp()
    }
    return upAt === undefined ? 0 : elapsed() - upAt
  }

  /** Paths that are not granted are left out, so that the others stay watched. */
  function refusedPaths(error: PurserError, paths: readonly string[]): string[] {
    if (error.code !== 'not_granted') return []
    return paths.filter((_, n) => error.errors.some(({ pointer }) => pointer === `/query/path/${n}`))
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!closing.aborted && watched.length > 0) {
      attempt = createClosing()
      const { signal } = attempt
      const ageOf = (path: string): number => elapsed() - (refusedAt.get(path) ?? -Infinity)
      const paths = watched.filter((path) => ageOf(path) >= refusedMs)
      const ages = watched.filter((path) => !paths.includes(path)).map(ageOf)
      const retryRefused =
        ages.length === 0
          ? undefined
          : setTimeout(() => attempt?.abort(replaced()), refusedMs - Math.max(...ages)).unref()
      let delay = refusedMs
      try {
        if (paths.length > 0) {
          const upMs = await follow(paths, signal)
          failures = upMs >= minUpMs ? 0 : failures + 1
          delay = failures === 0 ? random() * reconnectMs : delayAfter(undefined, failures, random)
        }
      } catch (error) {
        if (signal.aborted) continue
        const failure = purserErrorFrom(error)
        const refused = refusedPaths(failure, paths)
        for (const path of refused) refusedAt.set(path, elapsed())
        failures++
        delay = refused.length > 0 ? 0 : delayAfter(failure, failures, random)
        onDown(failure, refused.length > 0 ? refused : paths)
      } finally {
        clearTimeout(retryRefused)
      }
      await sleep(delay, signal)
    }
  }

  function start(): void {
    if (isRunning || closing.aborted) return
    isRunning = true
    // Failures of listeners are reported elsewhere; this catches unforeseen ones.
    run()
      .catch((error: unknown) => onDown(purserErrorFrom(error), watched))
      .finally(() => {
        isRunning = false
        if (watched.length > 0) start()
      })
  }

  /** Opens another stream, which announces every path: another session reads the secrets now. */
  function restart(): void {
    lastEventId = undefined
    refusedAt.clear()
    attempt?.abort(replaced())
    start()
  }

  return {
    /** Watches these paths from now on; an empty list ends the stream. */
    set(paths: readonly string[]): void {
      if (paths.length === watched.length && paths.every((path) => watched.includes(path))) return
      watched = paths
      restart()
    },
    restart,
  }
}
