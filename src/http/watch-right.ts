/** Whether a stream may go on, and what it may tell: judged by the grants as they are, not as they were when it opened. */
import { parseSecretPath } from '../names/secret-path.ts'
import { Refusal } from '../errors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isStill } from './caller.ts'
import { type SecretCaller, secretCaller } from './secret-reader.ts'
import type { Ended } from './watch-events.ts'
import type { Watcher } from './watch-stream.ts'

function callerOf({ caller }: Pick<Watcher, 'caller'>, known: Snapshot): SecretCaller | undefined {
  try {
    return secretCaller({ caller }, known)
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

export const mayWatch = (watcher: Pick<Watcher, 'caller'>, path: string, known: Snapshot): boolean =>
  callerOf(watcher, known)?.may('watch', parseSecretPath(path)) ?? false

/** Why it must end, if it must. Of a prefix what is granted no more is told no more; once nothing is, it ends. */
export function endOf(watcher: Watcher, known: Snapshot, now: Date): Ended | undefined {
  const self = callerOf(watcher, known)
  if (!self || !isStill(watcher.caller, known, now)) return 'credential'
  const may = (path: string): boolean => self.may('watch', parseSecretPath(path))
  const { paths, prefix } = watcher
  if (!paths.every(may)) return 'grant'
  if (prefix === undefined) return undefined
  const under = [...known.secrets.keys()].filter((path) => path.startsWith(prefix))
  return under.length > 0 && !under.some(may) ? 'grant' : undefined
}
