/** Leases: list, renew by the session that holds the lease, revoke by that session or an operator, abandon. */
import type { NamedLease } from '../actions/leases/find.ts'
import type { Actions } from '../actions/actions.ts'
import { showLease } from './database-view.ts'
import { type ListParts, createPages } from './lists.ts'
import { idOf } from './params.ts'
import { rendered } from './rendered.ts'
import { type Reply, json, queryOf } from './request.ts'
import type { Act, ChangeState, Read } from './route-kinds.ts'

export function createLeaseRoutes(parts: ListParts & { actions: Pick<Actions, 'leases'> }) {
  const { leases } = parts.actions
  const page = createPages(parts)

  const list: Read = async (request, snapshot) => {
    const { limit: _, cursor: __, ...filter } = queryOf(request, 'listLeases')
    const rows = (after: string | undefined, max: number) => leases.list(request, snapshot, filter, { after, max })
    return page(request, snapshot, { list: 'leases', rows, keyOf: ({ lease }) => lease.id, show: showLease })
  }

  const renew: Act = async (request, acting) =>
    rendered(await leases.renew(request, acting, idOf(request)), (lease) => json(showLease(lease)))

  const revoke: Act = async (request, acting) =>
    rendered(await leases.revoke(request, acting, idOf(request)), showRevoked)

  const abandon: ChangeState = async (request, tx, snapshot) =>
    rendered(await leases.abandon(request, tx, snapshot, idOf(request)), (lease) => json(showLease(lease)))

  return { list, renew, revoke, abandon }
}

const showRevoked = (revoked: NamedLease): Reply =>
  json(showLease(revoked), { status: revoked.lease.state === 'revoked' ? 200 : 202 })
