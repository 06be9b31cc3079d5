/**
 * Follows the changes of secrets in their order, for the watches of this process. Postgres notifies it of each change; it
 * also reads twice a second, since a notification may be lost. It reads nothing while it is paused.
 */
import type { Database } from '../../store/database.ts'
import {
  type SecretChange,
  type WatchedSecrets,
  changedSecrets,
  liveSecrets,
  readSecretChanges,
} from '../../store/secret-changes.ts'
import { sharedRead } from '../../store/shared-read.ts'

export type SecretFeed = {
  /** The number of the last change that the listener received. */
  position(): number
  /** Reads up to the present change. */
  catchUp(): Promise<void>
  /** The watched secrets that exist. */
  live(watched: WatchedSecrets): Promise<SecretChange[]>
  /** The watched secrets that changed after a change. */
  changedSince(since: number, watched: WatchedSecrets): Promise<SecretChange[]>
  onChanges(listener: (changes: readonly SecretChange[]) => void): void
  start(): void
  /** The listener does not receive the changes of a pause. */
  pause(): void
  stop(): void
}

const readEveryMs = 500
/** Changes that come within this time are read together. */
const gatherMs = 25

export function createSecretFeed(
  { knex, listen }: Pick<Database, 'knex' | 'listen'>,
  onError: (error: unknown) => void,
): SecretFeed {
  let listener: (changes: readonly SecretChange[]) => void = () => undefined
  let position: number | undefined
  let isPaused = true
  let gathering: NodeJS.Timeout | undefined

  const catchUp = sharedRead(async () => {
    const { changes, rows } = await readSecretChanges(knex, position)
    position = changes
    if (rows.length > 0) listener(rows)
  })

  function readInBackground(): void {
    if (!isPaused) catchUp().catch(onError)
  }

  function gather(): void {
    gathering ??= setTimeout(() => {
      gathering = undefined
      readInBackground()
    }, gatherMs).unref()
  }

  const unlisten = listen('purser_secrets', () => {
    if (!isPaused) gather()
  })
  unlisten.catch(onError)
  const timer = setInterval(readInBackground, readEveryMs).unref()

  return {
    position: () => position ?? 0,
    catchUp,
    live: (watched) => liveSecrets(knex, watched),
    changedSince: (since, watched) => changedSecrets(knex, since, watched),
    onChanges: (next) => void (listener = next),
    start: () => void (isPaused = false),
    pause() {
      isPaused = true
      position = undefined
    },
    stop() {
      isPaused = true
      clearInterval(timer)
      clearTimeout(gathering)
      unlisten.then((end) => end()).catch(onError)
    },
  }
}
