/** Whether a stream may go on, and what it may send. Its present grants decide, not those of its start. */
import { isLiveCaller } from '../../authorize/caller.ts'
import { Refusal } from '../../errors.ts'
import { parseSecretPath } from '../../names/secret-path.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type SecretCaller, secretCaller } from '../secrets/reader.ts'
import type { EndReason } from './events.ts'
import type { Watcher } from './stream.ts'

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
 * Why the stream must end. A prefix loses single paths without ending; it ends once no path under it could be granted. Only
 * grants decide: an end that depended on which secrets exist would reveal them.
 */
export function endOf(watcher: Watcher, snapshot: Snapshot, now: Date): EndReason | undefined {
  const caller = callerOf(watcher, snapshot)
  if (!caller || !isLiveCaller(watcher.caller, snapshot, now)) return 'credential'
  const { paths, prefix } = watcher
  if (!paths.every((path) => caller.may('watch', parseSecretPath(path)))) return 'grant'
  return prefix === undefined || caller.mayUnder('watch', prefix) ? undefined : 'grant'
}
