/**
 * `Idempotency-Key`: a create or a rotation that is sent again, because its reply was lost, is done once. What is kept is
 * status, resource id and log index, in the transaction of the change itself; never a reply, which may hold a token.
 */
import { createHash, createHmac } from 'node:crypto'
import { canonicalize } from '@purser/sdk/verify'
import { refuse } from '../errors.ts'
import type { Keys } from '../keys/keys.ts'
import { type StoredOutcome, storeOutcome, reserveKey } from '../store/idempotency.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Caller } from '../authorize/caller.ts'
import { json } from './request.ts'
import type { ChangeState } from './route.ts'

const keptForMs = 24 * 3600_000

/** For the MAC key: the table alone lets nobody try guesses of what a body held. */
export type IdempotencyParts = { keys: Pick<Keys, 'signing'> }

/** The live thing of that id, as a reply shows it, or the promise of it; nothing once it is gone. */
export type Again = (id: string, snapshot: Snapshot, now: Date) => unknown

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/** An operator is the same caller with each of their tokens. */
function callerName(caller: Caller): string {
  if (caller.kind === 'operator') return `operator ${caller.operator}`
  if (caller.kind === 'session') return `session ${caller.session.id}`
  throw new Error('a route that takes Idempotency-Key has no authenticated caller')
}

/**
 * Wraps the handler of a change.
 * @param again answers a repeat with what was made; without it the reply showed something once, and a repeat is 409
 * @throws Refusal `idempotency_mismatch` for another body, `already_done` for what can't be shown again
 */
export function idempotent<Prepared = undefined>(
  { keys }: IdempotencyParts,
  handler: ChangeState<Prepared>,
  again?: Again,
): ChangeState<Prepared> {
  return async (request, tx, snapshot, prepared) => {
    const { idempotencyKey, operation, params, caller, body, time } = request
    if (idempotencyKey === undefined) return handler(request, tx, snapshot, prepared)
    const key = sha256(JSON.stringify([callerName(caller), operation, params, idempotencyKey]))
    // A body may hold a value: a bare hash of it would let whoever has the table try guesses.
    const hash = createHmac('sha256', keys.signing(snapshot, 'mac', time).key)
      .update(JSON.stringify(idempotencyKey))
      .update(canonicalize(body ?? null))
      .digest()
    const earlier = await reserveKey(tx, key, hash, time, new Date(time.getTime() + keptForMs))
    if (earlier) return repeat(earlier, hash, again && ((id) => again(id, snapshot, time)))

    const change = await handler(request, tx, snapshot, prepared)
    const { result: reply, entry, placed } = change
    return {
      ...change,
      async placed(epoch, index) {
        const resourceId = entry.resource?.id
        const status = reply.status ?? 200
        await storeOutcome(tx, key, { status, epoch, index, showedOnce: !again, ...(resourceId && { resourceId }) })
        await placed?.(epoch, index)
      },
    }
  }
}

async function repeat(
  earlier: StoredOutcome,
  hash: Buffer,
  again: ((id: string) => unknown) | undefined,
): ReturnType<ChangeState> {
  if (!earlier.request.equals(hash)) throw refuse('idempotency_mismatch')
  const { status, resourceId, epoch, index } = earlier
  const made = resourceId === undefined ? undefined : await again?.(resourceId)
  if (made === undefined) throw refuse('already_done', { ...(resourceId && { members: { id: resourceId } }) })
  const place = `${epoch}/${index}`
  return {
    result: json(made, { status, headers: { 'purser-log-index': place } }),
    // Nothing changed: the entry says which one it repeats, and has no `change` of its own.
    entry: { detail: { repeats: place, resourceId: resourceId ?? '' } },
  }
}
