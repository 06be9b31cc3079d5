/**
 * A create or a rotation whose reply was lost can be sent again under the same key, and is done once. The status, the
 * resource's id and the place in the log are kept, in the transaction of the change itself; never a result, which may
 * hold a token.
 */
import { createHash, createHmac } from 'node:crypto'
import { canonicalize } from '@purser/sdk/verify'
import type { Change } from '../audit/record.ts'
import type { Caller } from '../authorize/caller.ts'
import { refuse } from '../errors.ts'
import type { Keys } from '../keys/keys.ts'
import type { Knex } from '../store/database.ts'
import { type StoredOutcome, reserveKey, storeOutcome } from '../store/idempotency.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Context } from './context.ts'

const retentionMs = 24 * 3600_000

/** For the MAC key: with the table alone, guesses of what a body held cannot be tried. */
export type IdempotencyParts = { keys: Pick<Keys, 'signing'> }

/** `operation` and `params` name what is done to what. */
type KeyedRequest = Pick<Context, 'caller' | 'time'> & {
  idempotencyKey: string
  operation: string
  params: Readonly<Record<string, string>>
  body: unknown
}

type EarlierOutcome = Pick<StoredOutcome, 'status'> & { place: string }

type Repeatable<R> = {
  perform: () => Promise<Change<R>>
  /** What is kept of a result, for the reply to a repeat. */
  statusOf: (result: R) => number
  /** The live resource of that id as a result; nothing once it is gone. Left out where a result shows something once. */
  again?: ((id: string, earlier: EarlierOutcome) => Promise<R | undefined>) | undefined
}

/** An operator is the same caller with each of their tokens. */
function callerName(caller: Caller): string {
  if (caller.kind === 'operator' && !caller.session) return `operator ${caller.operator}`
  if (caller.kind === 'operator' || caller.kind === 'session') return `session ${caller.session.id}`
  throw new Error('a route that takes Idempotency-Key has no authenticated caller')
}

/** @throws Refusal `idempotency_mismatch` for another body, `already_done` for a result that cannot be shown again */
export async function once<R>(
  { keys }: IdempotencyParts,
  { caller, time, idempotencyKey, operation, params, body }: KeyedRequest,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { perform, statusOf, again }: Repeatable<R>,
): Promise<Change<R>> {
  const name = JSON.stringify([callerName(caller), operation, params, idempotencyKey])
  const key = createHash('sha256').update(name).digest()
  // A body may hold a value. Against a plain hash of it, a reader of the table could try guesses.
  const hash = createHmac('sha256', keys.signing(snapshot, 'mac', time).key)
    .update(JSON.stringify(idempotencyKey))
    .update(canonicalize(body ?? null))
    .digest()
  const earlier = await reserveKey(tx, key, hash, time, new Date(time.getTime() + retentionMs))
  if (earlier) return repeat(earlier, hash, again)

  const change = await perform()
  const { result, entry, placed } = change
  return {
    ...change,
    async placed(epoch, index) {
      const resourceId = entry.resource?.id
      const status = statusOf(result)
      await storeOutcome(tx, key, { status, epoch, index, showedOnce: !again, ...(resourceId && { resourceId }) })
      await placed?.(epoch, index)
    },
  }
}

async function repeat<R>(earlier: StoredOutcome, hash: Buffer, again: Repeatable<R>['again']): Promise<Change<R>> {
  if (!earlier.request.equals(hash)) throw refuse('idempotency_mismatch')
  const { status, resourceId, epoch, index } = earlier
  const place = `${epoch}/${index}`
  const result = resourceId === undefined ? undefined : await again?.(resourceId, { status, place })
  if (result === undefined) throw refuse('already_done', { ...(resourceId && { members: { id: resourceId } }) })
  // Nothing changed: the entry names the one that it repeats, and has no `change` of its own.
  return { result, entry: { detail: { repeats: place, resourceId: resourceId ?? '' } } }
}
