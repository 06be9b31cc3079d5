/** Gets what was told of, in as few requests as it takes, again until it has it. */
import { PurserError, isAway, wordsOf } from '../errors.ts'
import { restFor, waitAfter } from '../time/retry.ts'
import type { ReadNow } from './read.ts'
import { type SecretReply, maxAtOnce } from '../credentials/secret.ts'

export type Refetch = { mark(path: string): void; forget(path: string): void }

type Parts = {
  read: ReadNow
  take: (secret: SecretReply, session: string) => void
  /** Whether what is held is less than what was told. */
  isBehind: (path: string) => boolean
  onFailed: (error: PurserError, paths: readonly string[]) => void
  closing: AbortSignal
  random: () => number
}

export function createRefetch({ read, take, isBehind, onFailed, closing, random }: Parts): Refetch {
  const marked = new Set<string>()
  let running = false

  async function one(path: string): Promise<void> {
    try {
      const { secrets, session } = await read([path], closing)
      for (const secret of secrets) take(secret, session)
    } catch (error) {
      if (isAway(error) || !(error instanceof PurserError) || closing.aborted) throw error
      // Refused: the next event, or the next stream, brings it up again.
      marked.delete(path)
      onFailed(error, [path])
    }
  }

  async function some(paths: readonly string[]): Promise<void> {
    const [only, ...more] = paths
    if (only !== undefined && more.length === 0) return one(only)
    const { secrets, session } = await read(
      paths.map((path) => ({ path, optional: true })),
      closing,
    )
    for (const secret of secrets) take(secret, session)
    // Alone, the server says why not.
    for (const path of paths) if (!secrets.some((secret) => secret.path === path)) await one(path)
  }

  async function run(): Promise<void> {
    for (let failures = 0; marked.size > 0 && !closing.aborted;) {
      const paths = [...marked].slice(0, maxAtOnce)
      let failure: unknown
      try {
        await some(paths)
      } catch (error) {
        failure = error
        if (!closing.aborted) onFailed(purserError(error), paths)
      }
      for (const path of paths) if (!isBehind(path)) marked.delete(path)
      // A replica that lags behind may have given the version before, too.
      failures = failure !== undefined || paths.some((path) => marked.has(path)) ? failures + 1 : 0
      if (failures > 0) await restFor(waitAfter(failure, failures, random), closing)
    }
  }

  function start(): void {
    running = true
    void run().finally(() => {
      running = false
      if (marked.size > 0 && !closing.aborted) start()
    })
  }

  return {
    mark(path) {
      marked.add(path)
      if (!running) start()
    },
    forget: (path) => void marked.delete(path),
  }
}

const purserError = (error: unknown): PurserError =>
  error instanceof PurserError ? error : new PurserError('bad_reply', wordsOf(error), { cause: error })
