/** Who is told of a new role in a database, and which role they took last. */
import type { PurserError } from '../errors.ts'
import { type Telling, createTelling } from '../telling.ts'
import type { DatabaseRole } from './role.ts'

export type DatabaseWatchEvents = {
  /** Another role, with a user name of its own. The next one is told once the promise of the listener is settled. */
  change: DatabaseRole
  /** The same role, which ends later than was known before: the user name and password stay. */
  renewed: DatabaseRole
  /** Why it could not be renewed, or no other be had, now. It goes on by itself; told once until it works again. */
  error: PurserError
}
export type DatabaseWatchEvent = keyof DatabaseWatchEvents

export type DatabaseWatch = {
  /** Of the database. */
  readonly name: string
  /** Answers how to stop listening. A listener that throws, or whose promise rejects, is warned of, and stops nobody. */
  on<N extends DatabaseWatchEvent>(name: N, listener: (event: DatabaseWatchEvents[N]) => unknown): () => void
  close(): void
}

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
