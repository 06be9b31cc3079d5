/** Whether a session is still valid, and whether its credential is still accepted. Both are checked at each use. */
import { NameError } from '../names/errors.ts'
import { type Selectors, matches } from '../names/selectors.ts'
import { type Template, render } from '../names/template.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type Blockable, blockOf } from './blocks.ts'
import { entryOf } from './entries.ts'

type Attested = { workloadId: string; attestorId: string; spiffeId: string; selectors: Selectors }

/**
 * Why a session that has not ended no longer stands: a block covers it, or its workload entry no longer matches it. The
 * snapshot does not know sessions that ended; the append refuses those.
 */
export function barrierOf(
  snapshot: Pick<Snapshot, 'workloads' | 'blocks'>,
  session: Attested & Blockable,
  now: Date,
): 'block' | 'entry' | undefined {
  if (blockOf(snapshot, session, now)) return 'block'
  return matchesEntry(snapshot, session) ? undefined : 'entry'
}

export const stands = (...args: Parameters<typeof barrierOf>): boolean => barrierOf(...args) === undefined

/**
 * False once the entry is gone, disabled, at another attestor, requires facts that the session lacks, or renders another
 * SPIFFE ID from its facts. A session has one identity: a workload with a new one must attest again.
 */
export function matchesEntry({ workloads }: Pick<Snapshot, 'workloads'>, session: Attested): boolean {
  const row = workloads.get(session.workloadId)
  if (!row || row.disabled || row.attestorId !== session.attestorId) return false
  const { match, wide, spiffeId } = entryOf(row)
  if (!rendersTo(spiffeId, session)) return false
  // An entry without a match belongs to a join token, which names it.
  return Object.keys(match).length === 0 || matches(match, session.selectors, wide)
}

function rendersTo(template: Template, { selectors, spiffeId }: Attested): boolean {
  try {
    return render(template, selectors) === spiffeId
  } catch (error) {
    if (error instanceof NameError) return false
    throw error
  }
}

/** A credential of a session: an access token by its public id, or a certificate and the key that issued it. */
export type SessionCredential = { accessToken: string } | { serialNumber: string; keyId: string }

/**
 * Whether a credential that was looked up is neither revoked since then nor issued by a withdrawn key. Its session is
 * checked separately.
 */
export function isAccepted(
  { blocks, keys }: Pick<Snapshot, 'blocks' | 'keys'>,
  credential: SessionCredential,
): boolean {
  if ('accessToken' in credential) return !blocks.isNewlyRevoked('accessToken', credential.accessToken)
  const key = keys.get(credential.keyId)
  return key !== undefined && !key.withdrawnAt && !blocks.isNewlyRevoked('serialNumber', credential.serialNumber)
}
