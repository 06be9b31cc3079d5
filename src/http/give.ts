/**
 * One decision to give something out, for a caller who is judged at each try. What the caller's session was found with may
 * be a little old: the append refuses a decision by facts that changed, and what is refused is looked up once more.
 */
import type { Release, Hints } from '../audit/record.ts'
import { Refusal, refuse } from '../errors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type Caller, isLiveCaller } from '../authorize/caller.ts'
import type { ApiRequest, Reply } from './request.ts'
import type { Issue } from './route.ts'

/** Each try is judged by its own snapshot, the caller too: it may have been revoked since it was identified. */
export function refuseUnlessStill({ caller, time }: ApiRequest, snapshot: Snapshot): void {
  if (!isLiveCaller(caller, snapshot, time)) throw refuse('unauthenticated')
}

const factsOf = (caller: Caller): number | undefined => (caller.kind === 'session' ? caller.session.facts : undefined)

/** @param identifyAgain by what the database says now */
export function createGive(
  handler: Issue,
  request: ApiRequest,
  identifyAgain: (snapshot: Snapshot) => Promise<Caller>,
): (snapshot: Snapshot, hints: Hints) => Promise<Release<Reply>> {
  async function give(snapshot: Snapshot, hints: Hints): Promise<Release<Reply>> {
    refuseUnlessStill(request, snapshot)
    const grant = await handler(request, snapshot, hints)
    const { holds } = grant
    grant.holds = (snapshot) => isLiveCaller(request.caller, snapshot, request.time) && (holds?.(snapshot) ?? false)
    return grant
  }

  return async (snapshot, hints) => {
    if (hints.factsChanged && factsOf(request.caller) !== undefined) request.caller = await identifyAgain(snapshot)
    try {
      return await give(snapshot, hints)
    } catch (error) {
      const before = factsOf(request.caller)
      if (before === undefined || !(error instanceof Refusal) || error.code !== 'not_granted') throw error
      request.caller = await identifyAgain(snapshot)
      if (factsOf(request.caller) === before) throw error
      return give(snapshot, hints)
    }
  }
}
