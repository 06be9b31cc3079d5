/** The actions on leases. */
import type { LeaseParts } from '../../secrets/leases/issue.ts'
import { abandonLease } from './abandon.ts'
import { createIssueDatabases } from './issue.ts'
import { createListLeases } from './list.ts'
import { createRenewLease } from './renew.ts'
import { createRevokeLease } from './revoke.ts'

export const createLeaseActions = (parts: LeaseParts) => ({
  issue: createIssueDatabases(parts),
  list: createListLeases(parts),
  renew: createRenewLease(parts),
  revoke: createRevokeLease(parts),
  abandon: abandonLease,
})
