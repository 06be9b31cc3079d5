/** The entries of the log that a caller may read. Without a bound, all. */
import type { LogEntry } from '../../audit/entry.ts'
import { type Caller, boundOf } from '../../authorize/caller.ts'
import { hasSecretPath, hasSpiffeId, hasWholeAttestor } from '../../names/bound.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/**
 * Whether an entry lies within the caller's bound: by the workload or operator that acted, or by the object of the action.
 * @param snapshot as the caller may know it
 */
export const isEntryWithin = (entry: LogEntry, caller: Caller, snapshot: Snapshot): boolean =>
  isActorWithin(entry, caller, snapshot) || isResourceWithin(entry, caller, snapshot)

export function isActorWithin({ actor }: Pick<LogEntry, 'actor'>, caller: Caller, snapshot: Snapshot): boolean {
  const bound = boundOf(caller)
  if (!bound) return true
  switch (actor.kind) {
    case 'operator':
      return actor.operator !== undefined && snapshot.operators.has(actor.operator)
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

function isResourceWithin({ resource }: LogEntry, caller: Caller, snapshot: Snapshot): boolean {
  switch (resource?.kind) {
    case 'secret':
      return resource.name !== undefined && hasSecretPath(boundOf(caller), resource.name)
    case 'workload':
      return snapshot.workloads.get(resource.id) !== undefined
    default:
      return false
  }
}
