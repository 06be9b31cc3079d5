/** The one stream of a client: opened for what is watched, and opened again for as long as anything is. */
import { createClosing } from '../time/closing.ts'
import { PurserError, wordsOf } from '../errors.ts'
import { parseFields, text, whole } from '../json/fields.ts'
import { restFor, waitAfter } from '../time/retry.ts'
import { type ServerEvent, readEvents } from './sse.ts'

const over = (): PurserError => new PurserError('aborted', 'another stream is opened')

/** What the server says of a secret: its live version, or nothing where there is none. */
type Told = { path: string; version: number | undefined }

export type WatchStream = {
  /** Watches these from now on; none ends it. */
  set(paths: readonly string[]): void
  /** Opens another, which tells everything: another session holds the secrets now. */
  restart(): void
}

type Parts = {
  open: (
    paths: readonly string[],
    lastEventId: string | undefined,
    signal: AbortSignal,
  ) => Promise<AsyncIterable<Uint8Array>>
  onTold: (told: Told) => void
  onBundle: (sequence: number) => void
  /** All that changed while there was no stream was told. */
  onUp: () => void
  /** Why there is none now; of paths that are refused, which. */
  onDown: (error: PurserError, paths: readonly string[]) => void
  closing: AbortSignal
  random: () => number
  elapsed: () => number
}

/** One that ends sooner is a failure, or two servers could keep each other busy. */
const minUpMs = 5_000
/** Within so long the clients of a replica that stops come to the others. */
const afterEndMs = 1_000
/** How soon a path that was refused is asked for again, together with the others. */
const refusedMs = 300_000

export function createWatchStream(parts: Parts): WatchStream {
  const { open, onTold, onBundle, onUp, onDown, closing, random, elapsed } = parts
  const refusedAt = new Map<string, number>()
  let wanted: readonly string[] = []
  let lastEventId: string | undefined
  let attempt: AbortController | undefined
  let running = false
  closing.addEventListener('abort', () => attempt?.abort(closing.reason), { once: true })

  function take({ name, data, id }: ServerEvent, paths: readonly string[]): boolean {
    if (name === 'secret') {
      const { path, version, deleted } = parseFields(data, 'an event')
      const told = { path: text(path, 'path'), version: deleted === true ? undefined : whole(version, 'version') }
      if (paths.includes(told.path)) onTold(told)
    } else if (name === 'bundle') onBundle(whole(parseFields(data, 'an event').sequence, 'sequence'))
    if (id !== undefined && /^[!-~]{1,64}$/.test(id)) lastEventId = id
    return name === 'synced'
  }

  /** Resolves when the server ends it. Answers for how long it was up, milliseconds. */
  async function follow(paths: readonly string[], signal: AbortSignal): Promise<number> {
    let upAt: number | undefined
    for await (const event of readEvents(await open(paths, lastEventId, signal))) {
      if (signal.aborted) break
      if (!take(event, paths)) continue
      upAt ??= elapsed()
      onUp()
    }
    return upAt === undefined ? 0 : elapsed() - upAt
  }

  /** Those that are not granted are left out, so that the rest doesn't go unwatched with them. */
  function refused(error: PurserError, paths: readonly string[]): string[] {
    if (error.code !== 'not_granted') return []
    return paths.filter((_, n) => error.errors.some(({ pointer }) => pointer === `/query/path/${n}`))
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!closing.aborted && wanted.length > 0) {
      attempt = createClosing()
      const { signal } = attempt
      const paths = wanted.filter((path) => elapsed() - (refusedAt.get(path) ?? -Infinity) >= refusedMs)
      const ages = wanted.filter((path) => !paths.includes(path)).map((path) => elapsed() - (refusedAt.get(path) ?? 0))
      const anew =
        ages.length === 0 ? undefined : setTimeout(() => attempt?.abort(over()), refusedMs - Math.max(...ages)).unref()
      let wait = refusedMs
      try {
        if (paths.length > 0) {
          const upMs = await follow(paths, signal)
          failures = upMs >= minUpMs ? 0 : failures + 1
          wait = failures === 0 ? random() * afterEndMs : waitAfter(undefined, failures, random)
        }
      } catch (error) {
        if (signal.aborted) continue
        const failure =
          error instanceof PurserError ? error : new PurserError('bad_reply', wordsOf(error), { cause: error })
        const without = refused(failure, paths)
        for (const path of without) refusedAt.set(path, elapsed())
        failures++
        wait = without.length > 0 ? 0 : waitAfter(failure, failures, random)
        onDown(failure, without.length > 0 ? without : paths)
      } finally {
        clearTimeout(anew)
      }
      await restFor(wait, signal)
    }
  }

  function look(): void {
    if (running || closing.aborted) return
    running = true
    // Whatever a listener of events throws is told elsewhere; this is for what nobody foresaw.
    run()
      .catch((error: unknown) => onDown(new PurserError('bad_reply', wordsOf(error), { cause: error }), wanted))
      .finally(() => {
        running = false
        if (wanted.length > 0) look()
      })
  }

  function restart(): void {
    lastEventId = undefined
    refusedAt.clear()
    attempt?.abort(over())
    look()
  }

  return {
    set(paths) {
      if (paths.length === wanted.length && paths.every((path) => wanted.includes(path))) return
      wanted = paths
      restart()
    },
    restart,
  }
}
