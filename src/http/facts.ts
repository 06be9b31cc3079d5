import type { Attested } from '../attest/attest.ts'
import type { Facts } from '../authorize/decide.ts'

/** What was proved, as the decision takes it. */
export const factsOf = (attested: Attested): Facts => ({
  attestor: attested.attestor,
  selectors: attested.selectors,
  ...(attested.podBound !== undefined && { podBound: attested.podBound }),
  ...(attested.joinToken && { workloadId: attested.joinToken.workloadId }),
})
