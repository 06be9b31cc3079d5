import type { Attested } from '../../attest/attest.ts'
import type { Facts } from '../../authorize/decide.ts'

/** What was proved, as the decision takes it. */
export const factsOf = (attested: Attested): Facts => ({
  attestor: attested.attestor,
  selectors: attested.selectors,
  ...(attested.podBound !== undefined && { podBound: attested.podBound }),
  ...(attested.joinToken && { workloadId: attested.joinToken.workloadId }),
  // Renewal stays on its session's entry, which the session was found to stand on.
  ...(attested.renews && { workloadId: attested.renews.session.workloadId }),
})
