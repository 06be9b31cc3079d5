/** The header `Idempotency-Key` (actions/idempotency.ts). */
import { type IdempotencyParts, once } from '../actions/idempotency.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { json } from './request.ts'
import type { ChangeState } from './route-kinds.ts'

export type { IdempotencyParts } from '../actions/idempotency.ts'

/** The view of the live resource with an id; undefined once it is deleted. */
export type Again = (id: string, snapshot: Snapshot, now: Date) => unknown

/**
 * Wraps the handler of a change, so that a repeated request changes nothing.
 * @param again the body of the reply to a repeat. Without it a repeat is 409: the first reply had a value that is shown once
 */
export function idempotent(parts: IdempotencyParts, handler: ChangeState, again?: Again): ChangeState {
  return async (request, tx, snapshot) => {
    const { idempotencyKey } = request
    const perform = () => handler(request, tx, snapshot)
    if (idempotencyKey === undefined) return perform()
    return once(parts, { ...request, idempotencyKey }, tx, snapshot, {
      perform,
      statusOf: (reply) => reply.status ?? 200,
      again:
        again &&
        (async (id, { status, place }) => {
          const resource = await again(id, snapshot, request.time)
          return resource === undefined ? undefined : json(resource, { status, headers: { 'purser-log-index': place } })
        }),
    })
  }
}
