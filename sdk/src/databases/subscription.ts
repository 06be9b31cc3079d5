/** One watch of a database: its listeners, and the newest role that all of them have switched to. */
import { type Delivery, createDelivery } from '../events/delivery.ts'
import type { DatabaseWatch, DatabaseWatchEvents } from '../types/databases.ts'

export type Subscription = Pick<Delivery<DatabaseWatchEvents>, 'deliver' | 'failed' | 'recovered' | 'emit'> & {
  watch: DatabaseWatch
  /** The `n` of the newest role that its listeners have switched to. */
  switchedTo: number
  /** Whether a fulfilled promise means that earlier roles are unused. */
  givesUp: boolean
  isOpen: boolean
  /** Deliveries in progress. */
  deliveries: number
}

type Parts = Pick<Subscription, 'switchedTo' | 'givesUp'> & { warn: (warning: string) => void; onClose: () => void }

export function createSubscription(name: string, { switchedTo, givesUp, warn, onClose }: Parts): Subscription {
  const { deliver, failed, recovered, emit, on, close } = createDelivery<DatabaseWatchEvents>({
    subject: 'a watched database',
    name,
    keyOf: (role) => role.name,
    warn,
    onClose: () => {
      subscription.isOpen = false
      onClose()
    },
  })
  const watch = { name, on, close }
  const subscription: Subscription = {
    deliver,
    failed,
    recovered,
    emit,
    watch,
    switchedTo,
    givesUp,
    isOpen: true,
    deliveries: 0,
  }
  return subscription
}
