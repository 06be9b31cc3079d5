/** The log's verification keys, as the snapshot has them. */
import { originOf } from './log.ts'
import { logVkey } from '../keys/keys.ts'
import type { KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'

type LogKey = { row: KeyRow; epoch: number; vkey: string }

/** Every key that ever signed the log, oldest first. Which sizes each signs is in its row: `fromSize`, `toSize`. */
export function logKeysOf({ keys, trustDomain }: Pick<Snapshot, 'keys' | 'trustDomain'>): LogKey[] {
  return [...keys.values()]
    .filter((row) => row.kind === 'log')
    .sort((a, b) => (a.epoch ?? 0) - (b.epoch ?? 0) || (a.fromSize ?? 0) - (b.fromSize ?? 0))
    .map((row) => {
      const epoch = row.epoch ?? 0
      return { row, epoch, vkey: logVkey(row, originOf(trustDomain, epoch)) }
    })
}

export const logVkeysOf = (snapshot: Pick<Snapshot, 'keys' | 'trustDomain'>, epoch: number): string[] =>
  logKeysOf(snapshot).flatMap((key) => (key.epoch === epoch ? [key.vkey] : []))

/** The keys that sign the heads of the present epoch now. */
export const signingLogKeys = (snapshot: Pick<Snapshot, 'keys' | 'trustDomain'>, epoch: number): string[] =>
  logKeysOf(snapshot).flatMap((key) => (key.epoch === epoch && key.row.toSize === undefined ? [key.vkey] : []))
