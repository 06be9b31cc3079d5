/** Who is told of a new version of secrets, and whether Purser is told that they took it. */
import type { PurserError } from '../errors.ts'
import { type Telling, createTelling } from '../telling.ts'
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

export type Watching = Pick<Telling<SecretWatchEvents>, 'deliver' | 'failed' | 'recovered'> & {
  paths: readonly string[]
  removed(path: string): void
  /** Whether Purser is told that what the listeners took is in use. */
  acknowledges: boolean
  watch: SecretWatch
}

export function createWatching(
  paths: readonly string[],
  { warn, onClose, acknowledges }: { warn: (warning: string) => void; onClose: () => void; acknowledges: boolean },
): Watching {
  const name = paths.join(', ')
  const telling = createTelling<SecretWatchEvents>({
    of: 'a watched secret',
    name,
    keyOf: ({ path }) => path,
    warn,
    onClose,
  })
  const { deliver, failed, recovered, on, close } = telling
  const removed = (path: string): void => telling.tell('removed', { path })
  return { paths, acknowledges, deliver, failed, recovered, removed, watch: { paths, on, close } }
}
