/** What an action knows of the request behind it. Nothing of HTTP. */
import { type Actor, cut } from '../audit/entry.ts'
import type { Change, Recorded } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import type { Caller, OperatorCaller, SessionCaller } from '../authorize/caller.ts'
import type { ClientCertificate } from '../authorize/client-certificate.ts'
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import type { Snapshot } from '../store/snapshot.ts'

export type Context = {
  /** The request's id. */
  requestId: string
  time: Date
  /** The caller's address. */
  address: string
  caller: Caller
  /** The certificate of the connection, where it is valid now. The log says whether Purser issued it (sessions/find.ts). */
  clientCertificate: () => ClientCertificate | undefined
  /** Set where the caller may send the same request again. */
  idempotencyKey?: string
  /** The caller's own words; the entry of the log keeps them. */
  reason?: string
}

/** An action that changes state: its SQL and its entry in one transaction. */
export type ChangeAction<Input, Result = undefined> = (
  context: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  input: Input,
) => Promise<Change<Result>>

/** How an action records an effect outside of Purser: its intent before, its outcome after. */
export type Acting = {
  open: Opening
  /** Records the intent. @throws Refusal where the caller may no longer act */
  begin: <R>(run: (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<R>>) => Promise<Recorded<R>>
  /** Records the outcome, also where the caller may no longer act. */
  finish: <R>(run: (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<R>>) => Promise<Recorded<R>>
}

/** An operator gives a reason for what shows a value or cannot be undone. @throws Refusal `invalid_request` */
export function checkReason({ caller, reason }: Pick<Context, 'caller' | 'reason'>, detail: string): void {
  if (caller.kind !== 'operator' || reason !== undefined) return
  throw refuse('invalid_request', { errors: [{ pointer: '/header/Purser-Reason', detail }] })
}

/** The detail of a refusal to show a value without a reason. */
export const revealReason = 'must say why you look at the value: it goes into the log'

/** The operator as versions and rotations name it. @throws Refusal `token_type` */
export function operatorName({ caller }: Pick<Context, 'caller'>): string {
  if (caller.kind !== 'operator') throw refuse('token_type')
  return nameOf(caller)
}

export const nameOf = (caller: OperatorCaller): string =>
  caller.session ? `workload:${caller.session.spiffeId}` : `operator:${caller.operator}`

/**
 * Optimistic concurrency: a change names the revision that its caller read.
 * @param live the current revision; 0 where there is none
 * @throws Refusal `stale` with the current revision
 */
export function checkRevision(expected: number, live: number): void {
  if (expected !== live) throw refuse('stale', { members: { revision: live } })
}

/** The caller as the log names it. The action adds whose bootstrap token or proof it was. */
export function actorOf(caller: Caller, note?: string): Actor {
  const noted = note === undefined ? {} : { note: cut(note) }
  switch (caller.kind) {
    case 'anonymous':
    case 'bootstrap':
      return { kind: 'anonymous', ...noted }
    case 'operator':
      if (caller.session) return { ...workloadActor(caller), operatorRole: caller.role, ...noted }
      return { kind: 'operator', operator: caller.operator, tokenId: caller.tokenId, ...noted }
    case 'session':
      return { ...workloadActor(caller), ...noted }
  }
}

function workloadActor({ session }: { session: SessionCaller }): Actor {
  const { id, spiffeId, workloadId } = session
  return { kind: 'workload', session: id, spiffeId, workloadId }
}
