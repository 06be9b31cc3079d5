/** One watch of secrets: its listeners, and whether the client acknowledges what they accept. */
import { type Delivery, createDelivery } from '../events/delivery.ts'
import type { SecretWatch, SecretWatchEvents } from '../types/secrets.ts'

export type Subscription = Pick<Delivery<SecretWatchEvents>, 'deliver' | 'failed' | 'recovered'> & {
  paths: readonly string[]
  removed(path: string): void
  /** Whether to tell Purser that a version is in use once the listeners have accepted it. */
  acknowledges: boolean
  watch: SecretWatch
}

type Parts = { warn: (warning: string) => void; onClose: () => void; acknowledges: boolean }

export function createSubscription(paths: readonly string[], { warn, onClose, acknowledges }: Parts): Subscription {
  const { deliver, failed, recovered, emit, on, close } = createDelivery<SecretWatchEvents>({
    subject: 'a watched secret',
    name: paths.join(', '),
    keyOf: ({ path }) => path,
    warn,
    onClose,
  })
  const removed = (path: string): void => emit('removed', { path })
  return { paths, acknowledges, deliver, failed, recovered, removed, watch: { paths, on, close } }
}
