/** Heads of the log that are kept outside of its database, and what one of them says against it. */
import { VerifyError, openCheckpoint } from '@purser/sdk/verify'
import { logVkey } from '../keys/keys.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { originOf } from './log.ts'
import type { Tree } from './tree.ts'

/** `where` is for people: a path, or the name of a setting. */
export type HeadEvidence = { where: string; note: string }

/** What the database says of its log. */
export type LogIdentity = {
  trustDomain: string
  epoch: number
  /** Of every epoch. */
  vkeys: readonly string[]
}

export const logIdentity = ({ keys, trustDomain, epoch }: Snapshot): LogIdentity => {
  const logKeys = [...keys.values()].filter((row) => row.kind === 'log')
  const vkeys = logKeys.map((row) => logVkey(row, originOf(trustDomain, row.epoch ?? 0)))
  return { trustDomain, epoch, vkeys }
}

/**
 * Why the database can't be the newest one, or nothing. A head of an older epoch says nothing against a newer epoch: that
 * one began, by the root key, with what had been lost. The tree stands for a consistency proof: it has every leaf.
 */
export async function contradiction(
  tree: Pick<Tree, 'size' | 'rootAt'>,
  { trustDomain, epoch, vkeys }: LogIdentity,
  { where, note }: HeadEvidence,
): Promise<string | undefined> {
  const known = openHead(note, vkeys)
  if ('fault' in known) return `the head in ${where} can't be used (${known.fault}): it is another log's, or newer`
  const [, of] = /\/log\/([1-9][0-9]*)$/.exec(known.origin) ?? []
  if (known.origin !== `${trustDomain}/log/${of}`) return `the head in ${where} is of another log, ${known.origin}`
  if (Number(of) < epoch) return undefined
  if (Number(of) > epoch) return `${where} knows epoch ${of}, the database is in epoch ${epoch}`
  if (known.size > tree.size) {
    return `${where} knows a log of ${known.size} entries, the database has ${tree.size}`
  }
  if (known.size > 0 && !(await tree.rootAt(known.size)).equals(known.root)) {
    return `${where} knows another log: the first ${known.size} entries of the database are not those that were signed`
  }
  return undefined
}

/** By a log key that the database knows. */
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
