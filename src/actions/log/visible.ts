/** The entries of the log that a caller may read. Without a bound, all. */
import type { LogEntry } from '../../audit/entry.ts'
import { type Caller, boundOf } from '../../authorize/caller.ts'
import { type Bound, hasAttestor, hasSecretPath, hasSpiffeId, hasWholeAttestor, isWithin } from '../../names/bound.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/**
 * Whether an entry lies within the caller's bound: by the workload or operator that acted, or by the object of the action.
 * @param snapshot as the caller may know it
 */
export const isEntryWithin = (entry: LogEntry, caller: Caller, snapshot: Snapshot): boolean =>
  isActorWithin(entry, caller, snapshot) || isResourceWithin(entry, boundOf(caller), snapshot)

type Act = Pick<LogEntry, 'actor' | 'time'>

export function isActorWithin({ actor, time }: Act, caller: Caller, snapshot: Snapshot): boolean {
  const bound = boundOf(caller)
  if (!bound) return true
  switch (actor.kind) {
    case 'operator':
      return isOperatorWithin(actor, new Date(time), bound, snapshot)
    case 'workload':
    case 'anonymous': {
      if (actor.spiffeId !== undefined) return hasSpiffeId(bound, actor.spiffeId)
      // A caller without an entry could belong to any team of its attestor.
      const attestor = snapshot.attestors.get(actor.attestorId ?? '')
      return attestor !== undefined && hasWholeAttestor(bound, attestor)
    }
    case 'bootstrap':
    case 'system':
      return false
  }
}

/**
 * An operator within the bound, since it was created: an earlier one may have had its name. Of an operator beyond the bound,
 * such as that of a narrower token, what tokens within the bound did.
 */
function isOperatorWithin(
  { operator = '', tokenId = '' }: { operator?: string | undefined; tokenId?: string | undefined },
  time: Date,
  bound: Bound,
  { operators, apiTokens }: Snapshot,
): boolean {
  const row = operators.get(operator)
  const isOfTeam = row !== undefined && isWithin(row.bound, bound) && row.createdAt <= time
  return isOfTeam || apiTokens.has(tokenId)
}

function isResourceWithin({ time, resource, change }: LogEntry, bound: Bound | undefined, snapshot: Snapshot): boolean {
  switch (resource?.kind) {
    case 'secret':
      return resource.name !== undefined && hasSecretPath(bound, resource.name)
    case 'approval':
      return bound !== undefined && isOperatorWithin({ operator: resource.name }, new Date(time), bound, snapshot)
    case 'workload': {
      // As the entry of the log has it: today the workload entry may belong to another team.
      const states = [change?.before, change?.after].filter((state) => state !== undefined)
      return states.length > 0 && states.every((state) => isStateWithin(state, bound))
    }
    default:
      return false
  }
}

/** @param state of a workload entry */
const isStateWithin = (state: unknown, bound: Bound | undefined): boolean =>
  typeof state === 'object' &&
  state !== null &&
  'spiffeId' in state &&
  'attestor' in state &&
  hasSpiffeId(bound, String(state.spiffeId)) &&
  hasAttestor(bound, String(state.attestor))
