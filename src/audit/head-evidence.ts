/** Compares signed heads that are kept outside of the database with its log. */
import { VerifyError, openCheckpoint } from '@purser/sdk/verify'
import type { Snapshot } from '../store/snapshot.ts'
import { logKeysOf } from './log-keys.ts'
import type { Tree } from './tree.ts'

/** A signed head from outside of the database. `where` is a path or the name of a setting, for messages. */
export type HeadEvidence = { where: string; note: string }

/** The identity of the log in the database, with the verifier keys of all epochs. */
export type LogIdentity = { trustDomain: string; epoch: number; vkeys: readonly string[] }

export const logIdentity = (snapshot: Pick<Snapshot, 'keys' | 'trustDomain' | 'epoch'>): LogIdentity => ({
  trustDomain: snapshot.trustDomain,
  epoch: snapshot.epoch,
  vkeys: logKeysOf(snapshot).map(({ vkey }) => vkey),
})

/**
 * Why the database can't be the newest one; undefined when the head agrees with it. A head of an older epoch does not
 * contradict a newer epoch, which the holder of the root key started knowing that entries were lost. The tree has every
 * leaf, so that its root at the head's size replaces a consistency proof.
 */
export async function contradiction(
  tree: Pick<Tree, 'size' | 'rootAt'>,
  { trustDomain, epoch, vkeys }: LogIdentity,
  { where, note }: HeadEvidence,
): Promise<string | undefined> {
  const head = openHead(note, vkeys)
  if ('fault' in head) return `the head in ${where} can't be used (${head.fault}): it is another log's, or newer`
  const [, headEpoch] = /\/log\/([1-9][0-9]*)$/.exec(head.origin) ?? []
  if (head.origin !== `${trustDomain}/log/${headEpoch}`) return `the head in ${where} is of another log, ${head.origin}`
  if (Number(headEpoch) < epoch) return undefined
  if (Number(headEpoch) > epoch) return `${where} knows epoch ${headEpoch}, the database is in epoch ${epoch}`
  if (head.size > tree.size) {
    return `${where} knows a log of ${head.size} entries, the database has ${tree.size}`
  }
  if (head.size > 0 && !(await tree.rootAt(head.size)).equals(head.root)) {
    return `${where} knows another log: the first ${head.size} entries of the database are not those that were signed`
  }
  return undefined
}

/** Whether a log key of the database signed the head. */
export const isSigned = ({ note }: HeadEvidence, { vkeys }: LogIdentity): boolean => !('fault' in openHead(note, vkeys))

function openHead(
  note: string,
  vkeys: readonly string[],
): { origin: string; size: number; root: Buffer } | { fault: string } {
  try {
    return openCheckpoint(note, vkeys)
  } catch (error) {
    if (error instanceof VerifyError) return { fault: error.message }
    throw error
  }
}
