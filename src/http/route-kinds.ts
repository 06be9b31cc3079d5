/** The four kinds of routes: what their handlers receive and return, and a constructor for each. */
import type { Acting } from '../actions/context.ts'
import type { Action } from '../audit/entry.ts'
import type { Change, Hints, Recorded, Release } from '../audit/record.ts'
import type { Permission } from '../operators/permissions.ts'
import type { Knex } from '../store/database.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { LimitKind } from './limits.ts'
import type { ApiRequest, Reply } from './request.ts'

/** Replies from stored state. */
export type Read = (request: ApiRequest, snapshot: Snapshot) => Promise<Reply>

/** Issues something: entry and effects are appended in the group commit, then the reply is released. */
export type Issue = (request: ApiRequest, snapshot: Snapshot, hints: Hints) => Promise<Release<Reply>>

/** Changes stored state: SQL and entry in one transaction, the entry last. */
export type ChangeState = (request: ApiRequest, tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<Reply>>

/** Computes slow values before the transaction of a change, which must be short, and returns its handler. */
export type PrepareChange = (request: ApiRequest, snapshot: Snapshot) => Promise<ChangeState>

/** Has an effect outside Purser: a change records the intent, then the effect happens, then a change records its outcome. */
export type Act = (request: ApiRequest, acting: Acting) => Promise<Recorded<Reply>>

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

type Kind =
  | { kind: 'read'; handler: Read }
  | { kind: 'issue'; handler: Issue }
  | { kind: 'change'; prepare: PrepareChange }
  | { kind: 'act'; handler: Act }

export type Route = Kind & {
  method: Method
  path: string
  permission: Permission
  limit: LimitKind
  action: Action | 'none'
}

const constructor =
  <Handler>(kindOf: (handler: Handler) => Kind) =>
  (
    method: Method,
    path: string,
    permission: Permission,
    limit: LimitKind,
    action: Action | 'none',
    handler: Handler,
  ): Route => ({ method, path, permission, limit, action, ...kindOf(handler) })

export const read = constructor((handler: Read) => ({ kind: 'read', handler }))
export const issue = constructor((handler: Issue) => ({ kind: 'issue', handler }))
export const change = constructor((handler: ChangeState) => ({ kind: 'change', prepare: async () => handler }))
export const preparedChange = constructor((prepare: PrepareChange) => ({ kind: 'change', prepare }))
export const act = constructor((handler: Act) => ({ kind: 'act', handler }))

/**
 * HEAD is served where anyone may read: the reply costs and reveals what GET does. Elsewhere it is refused with 405: a
 * request without a body in its reply must not count as a read of a secret.
 */
export const methodsOf = ({ method, permission, kind }: Route): readonly string[] =>
  method === 'GET' && permission === 'none' && kind === 'read' ? ['GET', 'HEAD'] : [method]
