/** Whether a session still stands, and what is shown for it: judged at each use, not only when it attested. */
import { NameError } from '../names/errors.ts'
import { type Selectors, matches } from '../names/selectors.ts'
import { type Template, render } from '../names/template.ts'
import { blockKey } from '../store/snapshot-tables.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { entryOf } from './entries.ts'

/**
 * False once the entry is gone, disabled, at another attestor, asks for what the session's facts don't hold, or makes
 * another SPIFFE ID of them: a session is of one identity, and whoever has another now attests anew.
 */
export function stands(
  snapshot: Pick<Snapshot, 'workloads'>,
  session: { workloadId: string; attestorId: string; spiffeId: string; selectors: Selectors },
): boolean {
  const row = snapshot.workloads.get(session.workloadId)
  if (!row || row.disabled || row.attestorId !== session.attestorId) return false
  const { match, wide, spiffeId } = entryOf(row)
  if (!makes(spiffeId, session)) return false
  // Without a match the proof itself belonged to the entry (a join token).
  return Object.keys(match).length === 0 || matches(match, session.selectors, wide)
}

function makes(template: Template, { selectors, spiffeId }: { selectors: Selectors; spiffeId: string }): boolean {
  try {
    return render(template, selectors) === spiffeId
  } catch (error) {
    if (error instanceof NameError) return false
    throw error
  }
}

/** What leads to a session: an access token by its public id, or a certificate and the key that issued it. */
export type Shown = { accessToken: string } | { serialNumber: string; keyId: string }

/**
 * Whether that itself counts still, whatever its session does: neither revoked, nor a certificate under an issuing key
 * that was withdrawn.
 */
export function counts({ blocks, keys }: Pick<Snapshot, 'blocks' | 'keys'>, shown: Shown): boolean {
  if ('accessToken' in shown) return !blocks.has(blockKey('accessToken', shown.accessToken))
  const key = keys.get(shown.keyId)
  return key !== undefined && !key.withdrawnAt && !blocks.has(blockKey('serialNumber', shown.serialNumber))
}
