/** A key as operators see it: where it is in its life, and all of it that is public. */
import { originOf } from '../audit/log.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { isRequested, isUpstream, logVkey, signingKey } from '../keys/keys.ts'
import { endless } from '../keys/lifetimes.ts'
import type { WrappingKey } from '../store/keys.ts'
import type { KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'

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

/** Times that say "until something ends it" are left out. */
const when = (name: 'activeAt' | 'retireAt' | 'goneAt', time: Date): Record<string, string> =>
  time < endless ? { [name]: rfc3339(time) } : {}

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
    ...when('activeAt', row.activeAt),
    ...when('retireAt', row.retireAt),
    ...when('goneAt', row.goneAt),
    ...(withdrawnAt && { withdrawnAt: rfc3339(withdrawnAt) }),
  }
}

/**
 * @param current the id of the wrapping key in use
 * @param values how many values' data keys it wraps now
 */
export const showWrappingKey = (row: WrappingKey, current: string, values?: number): KeyView => ({
  id: row.id,
  kind: 'keyring',
  algorithm: 'A256GCM',
  state: row.id === current ? 'active' : 'retiring',
  createdAt: rfc3339(row.createdAt),
  ...(values !== undefined && { values }),
})
