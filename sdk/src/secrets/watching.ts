/** Who is told of a new version, one after the other; and whether all of them took it. */
import { callOut } from '../call-out.ts'
import { PurserError, wordsOf } from '../errors.ts'
import type { Secret } from './secret.ts'

export type SecretWatchEvents = {
  /** A version that this client had not given before. The next one is told once the promise of the listener is settled. */
  change: Secret
  /** The secret was destroyed as a whole. What was given of it stays where it is. */
  removed: { path: string }
  /** Why it is not watched, or could not be read, now. It goes on by itself; told once until it works again. */
  error: PurserError
}
export type SecretWatchEvent = keyof SecretWatchEvents

export type SecretWatch = {
  readonly paths: readonly string[]
  /** Answers how to stop listening. A listener that throws, or whose promise rejects, is warned of, and stops nobody. */
  on<N extends SecretWatchEvent>(name: N, listener: (event: SecretWatchEvents[N]) => unknown): () => void
  close(): void
}

export type Watching = {
  paths: readonly string[]
  /** `done` where each listener's promise was fulfilled, `nobody` where there is none. */
  deliver(secret: Secret): Promise<'done' | 'failed' | 'superseded' | 'nobody'>
  removed(path: string): void
  failed(error: PurserError): void
  recovered(): void
  /** Whether Purser is told that what the listeners took is in use. */
  acknowledges: boolean
  watch: SecretWatch
}

type Outcome = Awaited<ReturnType<Watching['deliver']>>
type Waiting = { secret: Secret; settle: (outcome: Outcome) => void }
type Listeners = { [N in SecretWatchEvent]: Set<(event: SecretWatchEvents[N]) => unknown> }

export function createWatching(
  paths: readonly string[],
  { warn, onClose, acknowledges }: { warn: (warning: string) => void; onClose: () => void; acknowledges: boolean },
): Watching {
  const listeners: Listeners = { change: new Set(), removed: new Set(), error: new Set() }
  /** By path: of several that came while the listener was busy, the newest alone. */
  const waiting = new Map<string, Waiting>()
  let busy = false
  let closed = false
  let told: string | undefined

  const complain = (error: unknown): void =>
    warn(`a listener of a watched secret (${paths.join(', ')}) failed: ${wordsOf(error)}`)

  async function tellAll(secret: Secret): Promise<Outcome> {
    const all = [...listeners.change]
    if (closed || all.length === 0) return 'nobody'
    const settled = await Promise.allSettled(all.map(async (listener) => listener(secret)))
    const failures = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []))
    failures.forEach(complain)
    return failures.length === 0 ? 'done' : 'failed'
  }

  async function pump(): Promise<void> {
    busy = true
    for (let [next] = waiting.values(); next; [next] = waiting.values()) {
      waiting.delete(next.secret.path)
      next.settle(await tellAll(next.secret))
    }
    busy = false
  }

  const watch: SecretWatch = {
    paths,
    on(name, listener) {
      const all: Set<typeof listener> = listeners[name]
      all.add(listener)
      return () => void all.delete(listener)
    },
    close() {
      if (closed) return
      closed = true
      onClose()
    },
  }

  return {
    paths,
    watch,
    acknowledges,
    deliver: (secret) =>
      new Promise((settle) => {
        waiting.get(secret.path)?.settle('superseded')
        waiting.set(secret.path, { secret, settle })
        if (!busy) void pump()
      }),
    removed(path) {
      for (const listener of listeners.removed) callOut(() => listener({ path }), complain)
    },
    failed(error) {
      if (closed || told === error.code) return
      told = error.code
      if (listeners.error.size === 0) warn(`${paths.join(', ')}: what is held is used on. ${error.message}`)
      for (const listener of listeners.error) callOut(() => listener(error), complain)
    },
    recovered: () => void (told = undefined),
  }
}
