import type { Attested } from '../../attest/attest.ts'
import type { Facts } from '../../authorize/decide.ts'

/** The facts of a proof, as authorize/ takes them. */
export const factsOf = ({ attestor, selectors, podBound, joinToken, renews }: Attested): Facts => ({
  attestor,
  selectors,
  ...(podBound !== undefined && { podBound }),
  ...(joinToken && { workloadId: joinToken.workloadId }),
  // A renewal keeps the entry of its session.
  ...(renews && { workloadId: renews.session.workloadId }),
})
