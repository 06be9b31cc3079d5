/** What handlers receive and return. They do not see Express. */
import type { Receipt } from '@purser/sdk/verify'
import type { Since } from '../audit/log.ts'
import type { Context } from '../actions/context.ts'
import type { operations } from './openapi.generated.ts'
import type { OperationId } from './openapi.ts'

export type ApiRequest = Context & {
  operation: OperationId
  params: Record<string, string>
  query: Record<string, unknown>
  /** Path and query as they were sent. */
  target: string
  /** Valid by openapi.yaml. `bodyOf` gives it its type. */
  body: unknown
  ifMatch?: string
  ifNoneMatch?: string
  /** The id of an approval of this request. */
  approval?: string
  /** Whether a browser says that a page of another origin makes the request. */
  isForeign: () => boolean
  /** The id of the last event that the client received. */
  lastEventId?: string
}

/** A stream without an end, which checks its caller itself. */
type Live = {
  /** Ends the reply, also if the client does not read it. */
  cut: AbortSignal
  /** Called at the end of the reply, whatever the cause. */
  onClose: () => void
}

export type Reply = {
  status?: number
  headers?: Record<string, string>
  body:
    | { json: unknown }
    | { text: string; type: string }
    | { bytes: Buffer; type: string }
    /** Sent in chunks after the entry. The client notices a reply that was cut off. */
    | { stream: AsyncIterable<string>; type: string; live?: Live }
  /** Adds the receipt to the JSON body, with a consistency proof from a head that the caller has. */
  receipt?: { since?: Since; put: (receipt: Receipt) => unknown }
}

export const json = (value: unknown, more: Omit<Reply, 'body'> = {}): Reply => ({ ...more, body: { json: value } })

/** The client's copy is current (RFC 9110 section 15.4.5). */
export const notModified = (headers: Record<string, string>): Reply => ({
  status: 304,
  headers,
  body: { text: '', type: 'text/plain' },
})

export const noContent: Reply = { status: 204, body: { text: '', type: 'text/plain' } }

/** The type of an operation's body in openapi.yaml. */
export type BodyOf<Id extends OperationId> = operations[Id] extends {
  requestBody?: { content: { 'application/json': infer Body } }
}
  ? Body
  : never

/** True for the operation whose schema validated the body. */
const hasBodyOf = <Id extends OperationId>(
  request: Pick<ApiRequest, 'operation' | 'body'>,
  id: Id,
): request is { operation: Id; body: BodyOf<Id> } => request.operation === id && request.body !== undefined

export function bodyOf<Id extends OperationId>(request: Pick<ApiRequest, 'operation' | 'body'>, id: Id): BodyOf<Id> {
  if (hasBodyOf(request, id)) return request.body
  throw new Error(`the body is not that of ${id}`)
}

/** The type of an operation's query in openapi.yaml. */
type QueryOf<Id extends OperationId> = NonNullable<operations[Id]['parameters']['query']>

const hasQueryOf = <Id extends OperationId>(
  request: Pick<ApiRequest, 'operation' | 'query'>,
  id: Id,
): request is { operation: Id; query: QueryOf<Id> } => request.operation === id

export function queryOf<Id extends OperationId>(request: Pick<ApiRequest, 'operation' | 'query'>, id: Id): QueryOf<Id> {
  if (hasQueryOf(request, id)) return request.query
  throw new Error(`the query is not that of ${id}`)
}
