/** The caller that a verified proof shows: as the log names it, and as its refusals are counted. */
import { createHash } from 'node:crypto'
import type { Attested } from '../../attest/attest.ts'
import type { Actor } from '../../audit/entry.ts'
import type { Decision } from '../../authorize/decide.ts'
import { type ProvenCaller, Refusal, refuse } from '../../errors.ts'
import type { SessionRow } from '../../store/effects.ts'

export const provenActor = ({ attestor, selectors }: Attested): Actor => ({
  kind: 'workload',
  attestor: attestor.name,
  attestorId: attestor.id,
  selectors,
})

export const workloadActor = (attested: Attested, { entry, grant }: Decision, session: SessionRow): Actor => ({
  spiffeId: grant.spiffeId,
  workload: entry.row.name,
  workloadId: entry.row.id,
  revision: entry.row.revision,
  session: session.id,
  ...provenActor(attested),
})

export const provenCaller = ({ attestor, selectors, singleUse }: Attested): ProvenCaller => ({
  attestor: attestor.name,
  identity: createHash('sha256')
    .update(JSON.stringify([attestor.id, selectors]))
    .digest('base64'),
  ...(singleUse && { singleUseProof: JSON.stringify([attestor.id, singleUse.id]) }),
})

/** Adds the caller to refusals after the proof was verified. */
export async function namingCaller<T>(attested: Attested, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    throw refuse(error.code, { ...error.info, actor: provenActor(attested), proven: provenCaller(attested) })
  }
}
