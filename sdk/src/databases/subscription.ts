/** Who is told of a new role in a database, and which role they took last. */
import { type Telling, createTelling } from '../events/delivery.ts'
import type { DatabaseWatchEvents, DatabaseWatch } from '../types/databases.ts'

export type Follower = Pick<Telling<DatabaseWatchEvents>, 'deliver' | 'failed' | 'recovered' | 'tell'> & {
  watch: DatabaseWatch
  /** Counted as `Kept.n`: the newest that all of its listeners took. */
  at: number
  /** Whether what they took takes the place of what was before. */
  givesUp: boolean
  isOpen: boolean
  /** Roles that its listeners are told of just now. */
  telling: number
}

export function createFollower(
  name: string,
  {
    at,
    givesUp,
    warn,
    onClose,
  }: Pick<Follower, 'at' | 'givesUp'> & { warn: (warning: string) => void; onClose: () => void },
): Follower {
  const telling = createTelling<DatabaseWatchEvents>({
    of: 'a watched database',
    name,
    keyOf: (role) => role.name,
    warn,
    onClose: () => {
      follower.isOpen = false
      onClose()
    },
  })
  const { deliver, failed, recovered, tell, on, close } = telling
  const follower: Follower = {
    deliver,
    failed,
    recovered,
    tell,
    watch: { name, on, close },
    at,
    givesUp,
    isOpen: true,
    telling: 0,
  }
  return follower
}
