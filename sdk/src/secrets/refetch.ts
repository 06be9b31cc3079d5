/** Reads announced versions, in as few requests as possible, and retries until it has them. */
import { maxAtOnce, type SecretReply } from '../credentials/secret.ts'
import { PurserError, isAway, purserErrorFrom } from '../errors.ts'
import { delayAfter, sleep } from '../time/retry.ts'
import type { ReadNow } from './read.ts'

type Parts = {
  read: ReadNow
  store: (secret: SecretReply, session: string) => void
  /** Whether memory holds less than the server announced. */
  isBehind: (path: string) => boolean
  onFailed: (error: PurserError, paths: readonly string[]) => void
  closing: AbortSignal
  random: () => number
}

export function createRefetch({ read, store, isBehind, onFailed, closing, random }: Parts) {
  const marked = new Set<string>()
  let isRunning = false

  async function fetchOne(path: string): Promise<void> {
    try {
      const { secrets, session } = await read([path], closing)
      for (const secret of secrets) store(secret, session)
    } catch (error) {
      if (isAway(error) || !(error instanceof PurserError) || closing.aborted) throw error
      // A refusal: the next event, or the next stream, marks the path again.
      marked.delete(path)
      onFailed(error, [path])
    }
  }

  async function fetchBatch(paths: readonly string[]): Promise<void> {
    const [first, ...others] = paths
    if (first !== undefined && others.length === 0) return fetchOne(first)
    const options = paths.map((path) => ({ path, optional: true }))
    const { secrets, session } = await read(options, closing)
    for (const secret of secrets) store(secret, session)
    // The server gives the reason for a missing secret only if it is requested alone.
    for (const path of paths) if (!secrets.some((secret) => secret.path === path)) await fetchOne(path)
  }

  async function run(): Promise<void> {
    for (let failures = 0; marked.size > 0 && !closing.aborted;) {
      const paths = [...marked].slice(0, maxAtOnce)
      let failure: unknown
      try {
        await fetchBatch(paths)
      } catch (error) {
        failure = error
        if (!closing.aborted) onFailed(purserErrorFrom(error), paths)
      }
      for (const path of paths) if (!isBehind(path)) marked.delete(path)
      // A replica that lags behind may also have returned the previous version.
      failures = failure !== undefined || paths.some((path) => marked.has(path)) ? failures + 1 : 0
      if (failures > 0) await sleep(delayAfter(failure, failures, random), closing)
    }
  }

  function start(): void {
    isRunning = true
    void run().finally(() => {
      isRunning = false
      if (marked.size > 0 && !closing.aborted) start()
    })
  }

  return {
    mark(path: string): void {
      marked.add(path)
      if (!isRunning) start()
    },
    forget: (path: string) => void marked.delete(path),
  }
}
