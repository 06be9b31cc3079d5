/** What a workload may ask of its own session. */
import { refuse } from '../errors.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { endSession } from '../store/sessions.ts'
import { json } from './request.ts'
import type { ChangeState, Read } from './route.ts'

export function createSelfRoutes(): { who: Read; end: ChangeState } {
  return {
    async who({ caller }, snapshot) {
      if (caller.kind === 'operator') {
        return json({ kind: 'operator', operator: caller.operator, role: caller.role, tokenId: caller.tokenId })
      }
      if (caller.kind !== 'session') throw refuse('unauthenticated')
      const { id, spiffeId, workloadId, attestorId, selectors, expiresAt } = caller.session
      const workload = snapshot.workloads.get(workloadId)
      return json({
        kind: 'workload',
        spiffeId,
        ...(workload && { workload: { id: workload.id, name: workload.name, revision: workload.revision } }),
        attestor: snapshot.attestors.get(attestorId)?.name,
        session: { id, expiresAt: rfc3339(expiresAt) },
        selectors,
      })
    },

    /** Gives the session up: its access tokens die with it, and its SVIDs are honoured no longer where anybody asks. */
    async end({ caller, time }, tx) {
      if (caller.kind !== 'session') throw refuse('token_type')
      const { id } = caller.session
      return {
        result: { status: 204, body: { text: '', type: 'text/plain' } },
        entry: { resource: { kind: 'session', id } },
        // Under the head lock, in the order of the group commit: the other way round, an issuance of this session and
        // its end would wait for each other, and everybody else for both.
        async placed() {
          if ((await endSession(tx, id, 'given up', time)) !== 1) throw refuse('session_ended')
        },
      }
    },
  }
}
