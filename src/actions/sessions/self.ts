/** The caller of a request, as Purser knows it. */
import type { SelectorRecord } from '../../audit/entry.ts'
import type { Caller } from '../../authorize/caller.ts'
import { entryOf } from '../../authorize/entries.ts'
import { refuse } from '../../errors.ts'
import type { Bound } from '../../names/bound.ts'
import type { Role } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

export type Self =
  | {
      kind: 'operator'
      operator: string
      role: Role
      /** Where it differs from the role of the token. */
      operatorRole?: Role
      routes?: readonly string[]
      /** Absent: everything. */
      bound?: Bound
      tokenId: string
      /** The token is a login session. */
      login?: true
      expiresAt?: Date
    }
  | {
      kind: 'workload'
      spiffeId: string
      workload?: { id: string; name: string; revision: number }
      attestor?: string
      session: { id: string; expiresAt: Date }
      selectors: SelectorRecord
      /** As which operator it acts on their routes. */
      role?: Role
      routes?: readonly string[]
      /** Absent: everything. */
      bound?: Bound
    }

type Known = Pick<Snapshot, 'workloads' | 'attestors' | 'apiTokens'>

/** @throws Refusal `unauthenticated` */
export function self(caller: Caller, { workloads, attestors, apiTokens }: Known): Self {
  if (caller.kind === 'operator' && !caller.session) {
    const { kind, operator, role, operatorRole, routes, bound, tokenId } = caller
    const token = apiTokens.get(tokenId)
    return {
      kind,
      operator,
      role,
      ...(operatorRole !== role && { operatorRole }),
      ...(routes && { routes }),
      ...(bound && { bound }),
      tokenId,
      ...(token?.login && { login: true as const }),
      ...(token && { expiresAt: token.expiresAt }),
    }
  }
  if (caller.kind !== 'session') throw refuse('unauthenticated')
  const { id, spiffeId, workloadId, attestorId, selectors, expiresAt } = caller.session
  const workload = workloads.get(workloadId)
  const attestor = attestors.get(attestorId)
  return {
    kind: 'workload',
    spiffeId,
    ...(workload && { workload: { id: workload.id, name: workload.name, revision: workload.revision } }),
    ...(attestor && { attestor: attestor.name }),
    session: { id, expiresAt },
    selectors,
    ...(workload && entryOf(workload).fixed.operator),
  }
}
