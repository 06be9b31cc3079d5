/**
 * Decides for the caller as it is now. Each try of a decision has its own snapshot, under which the caller may be revoked.
 * The session may also come from a cache: the append refuses a decision that is based on facts that changed, and the
 * caller is then identified again from the database.
 */
import type { Hints, Release } from '../audit/record.ts'
import { type Caller, type SessionCaller, isLiveCaller } from '../authorize/caller.ts'
import { snapshotFor } from '../authorize/scope.ts'
import { Refusal, refuse } from '../errors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { ApiRequest, Reply } from './request.ts'
import type { Issue } from './route-kinds.ts'

/** @throws Refusal `unauthenticated` */
export function refuseUnlessLive({ caller, time }: ApiRequest, snapshot: Snapshot): void {
  if (!isLiveCaller(caller, snapshot, time)) throw refuse('unauthenticated')
}

/** Of a workload, also where it acts as an operator. */
const sessionOf = (caller: Caller): SessionCaller | undefined =>
  caller.kind === 'session' || caller.kind === 'operator' ? caller.session : undefined

const factsOf = (caller: Caller): number | undefined => sessionOf(caller)?.facts

/** @param identifyAgain reads the session from the database */
export function decideForCaller(
  handler: Issue,
  request: ApiRequest,
  identifyAgain: (snapshot: Snapshot) => Promise<Caller>,
): (snapshot: Snapshot, hints: Hints) => Promise<Release<Reply>> {
  async function decide(snapshot: Snapshot, hints: Hints): Promise<Release<Reply>> {
    refuseUnlessLive(request, snapshot)
    const { caller, time } = request
    const release = await handler(request, snapshotFor(caller, snapshot), hints)
    const { holds } = release
    // A route of operators does not know of sessions.
    const session = caller.kind === 'operator' ? caller.session : undefined
    if (session) release.effects = { ...release.effects, liveSession: session.id, facts: session.facts }
    release.holds = (newer) => isLiveCaller(caller, newer, time) && (holds?.(snapshotFor(caller, newer)) ?? false)
    return release
  }

  return async (snapshot, hints) => {
    if (hints.factsChanged && factsOf(request.caller) !== undefined) request.caller = await identifyAgain(snapshot)
    try {
      return await decide(snapshot, hints)
    } catch (error) {
      const facts = factsOf(request.caller)
      if (facts === undefined || !(error instanceof Refusal) || error.code !== 'not_granted') throw error
      request.caller = await identifyAgain(snapshot)
      if (factsOf(request.caller) === facts) throw error
      return decide(snapshot, hints)
    }
  }
}
