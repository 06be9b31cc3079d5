/** The view of a key: its state and its public parts. */
import { originOf } from '../audit/log.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { isRequested, isUpstream, logVkey, signingKey } from '../keys/keys.ts'
import { endless } from '../keys/lifetimes.ts'
import type { WrappingKey } from '../store/keys.ts'
import type { KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { timeMember } from './times.ts'

export type KeyView = {
  id: string
  kind: string
  state: 'requested' | 'published' | 'active' | 'retiring' | 'withdrawn'
  createdAt: string
} & Record<string, unknown>

function stateOf(row: KeyRow, snapshot: Pick<Snapshot, 'keys'>, now: Date): KeyView['state'] {
  if (row.withdrawnAt) return 'withdrawn'
  if (isRequested(row)) return 'requested'
  if (row.kind === 'log') return row.toSize === undefined ? 'active' : 'retiring'
  if (row.activeAt > now) return 'published'
  if (isUpstream(row)) return row.retireAt > now ? 'active' : 'retiring'
  return signingKey(snapshot, row.kind, now)?.id === row.id ? 'active' : 'retiring'
}

/** A time that means "without an end" is left out. */
const limited = (time: Date): Date | undefined => (time < endless ? time : undefined)

export function showKey(row: KeyRow, snapshot: Pick<Snapshot, 'keys' | 'trustDomain'>, now: Date): KeyView {
  const { id, kind, algorithm, issuerKeyId, chain, epoch, withdrawnAt } = row
  return {
    id,
    kind,
    algorithm,
    state: stateOf(row, snapshot, now),
    ...(issuerKeyId !== undefined && { issuerKeyId }),
    ...(chain !== undefined && { certificateChain: chain }),
    ...(kind === 'log' && epoch !== undefined && { epoch, vkey: logVkey(row, originOf(snapshot.trustDomain, epoch)) }),
    createdAt: rfc3339(row.createdAt),
    ...timeMember('activeAt', limited(row.activeAt)),
    ...timeMember('retireAt', limited(row.retireAt)),
    ...timeMember('goneAt', limited(row.goneAt)),
    ...timeMember('withdrawnAt', withdrawnAt),
  }
}

/**
 * @param current the id of the wrapping key that is in use
 * @param values the number of values whose data keys it wraps
 */
export const showWrappingKey = (row: WrappingKey, current: string, values?: number): KeyView => ({
  id: row.id,
  kind: 'keyring',
  algorithm: 'A256GCM',
  state: row.id === current ? 'active' : 'retiring',
  createdAt: rfc3339(row.createdAt),
  ...(values !== undefined && { values }),
})
