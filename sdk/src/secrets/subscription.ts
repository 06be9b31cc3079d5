/** Who is told of a new version of secrets, and whether Purser is told that they took it. */
import { type Telling, createTelling } from '../events/delivery.ts'
import type { SecretWatchEvents, SecretWatch } from '../types/secrets.ts'

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
