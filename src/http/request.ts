/** What handlers see of a request, and what they answer. Nothing of Express. */
import type { Receipt } from '@purser/sdk/verify'
import type { Since } from '../audit/log.ts'
import type { Context } from '../actions/context.ts'
import type { operations } from './openapi.generated.ts'
import type { OperationId } from './openapi.ts'

export type ApiRequest = Context & {
  operation: OperationId
  params: Record<string, string>
  query: Record<string, unknown>
  /** Valid by openapi.yaml; handlers name the type of their operation's body. */
  body: unknown
  ifMatch?: string
  /** Where a reader of events was cut off, as it says. */
  lastEventId?: string
}

/** Of a stream without an end of its own, which judges its caller itself. */
type Live = {
  /** Ends the reply, also towards a reader that takes nothing. */
  cut: AbortSignal
  /** Called when the reply is over, however that came. */
  onClose: () => void
}

export type Reply = {
  status?: number
  headers?: Record<string, string>
  body:
    | { json: unknown }
    | { text: string; type: string }
    | { bytes: Buffer; type: string }
    /** Chunks leave one by one after the entry; a stop in the middle is visible to the reader. */
    | { stream: AsyncIterable<string>; type: string; live?: Live }
  /** Puts the receipt into the JSON body, with the growth since a head that the caller holds. */
  receipt?: { since?: Since; put: (receipt: Receipt) => unknown }
}

export const json = (value: unknown, more: Omit<Reply, 'body'> = {}): Reply => ({ ...more, body: { json: value } })

export const noContent: Reply = { status: 204, body: { text: '', type: 'text/plain' } }

/** The body of an operation, as openapi.yaml has it. */
export type BodyOf<Id extends OperationId> = operations[Id] extends {
  requestBody?: { content: { 'application/json': infer Body } }
}
  ? Body
  : never

/** True for the operation by whose schema the door judged the body. */
const hasBodyOf = <Id extends OperationId>(
  request: Pick<ApiRequest, 'operation' | 'body'>,
  id: Id,
): request is { operation: Id; body: BodyOf<Id> } => request.operation === id && request.body !== undefined

export function bodyOf<Id extends OperationId>(request: Pick<ApiRequest, 'operation' | 'body'>, id: Id): BodyOf<Id> {
  if (hasBodyOf(request, id)) return request.body
  throw new Error(`the body is not that of ${id}`)
}

/** The query of an operation, as openapi.yaml has it. */
type QueryOf<Id extends OperationId> = NonNullable<operations[Id]['parameters']['query']>

const hasQueryOf = <Id extends OperationId>(
  request: Pick<ApiRequest, 'operation' | 'query'>,
  id: Id,
): request is { operation: Id; query: QueryOf<Id> } => request.operation === id

export function queryOf<Id extends OperationId>(request: Pick<ApiRequest, 'operation' | 'query'>, id: Id): QueryOf<Id> {
  if (hasQueryOf(request, id)) return request.query
  throw new Error(`the query is not that of ${id}`)
}
