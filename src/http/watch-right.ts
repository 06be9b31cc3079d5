/** Whether a stream may go on, and what it may tell: judged by the grants as they are, not as they were when it opened. */
import { parseSecretPath } from '../names/secret-path.ts'
import { Refusal } from '../errors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isLive } from '../authorize/caller.ts'
import { type SecretCaller, secretCaller } from '../actions/secrets/reader.ts'
import type { Ended } from './watch-events.ts'
import type { Watcher } from './watch-stream.ts'

function callerOf({ caller }: Pick<Watcher, 'caller'>, snapshot: Snapshot): SecretCaller | undefined {
  try {
    return secretCaller({ caller }, snapshot)
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

export const mayWatch = (watcher: Pick<Watcher, 'caller'>, path: string, snapshot: Snapshot): boolean =>
  callerOf(watcher, snapshot)?.may('watch', parseSecretPath(path)) ?? false

/**
 * Why it must end, if it must. Of a prefix what is granted no more is told no more; once nothing could be, it ends. By the
 * grants alone: an end that depended on what secrets there are would tell of other people's.
 */
export function endOf(watcher: Watcher, snapshot: Snapshot, now: Date): Ended | undefined {
  const self = callerOf(watcher, snapshot)
  if (!self || !isLive(watcher.caller, snapshot, now)) return 'credential'
  const { paths, prefix } = watcher
  if (!paths.every((path) => self.may('watch', parseSecretPath(path)))) return 'grant'
  return prefix === undefined || self.mayUnder('watch', prefix) ? undefined : 'grant'
}
