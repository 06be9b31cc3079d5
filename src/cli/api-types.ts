/** The types of a call, read from openapi.yaml: method and path give those of parameters, body and reply. */
import type { components, paths } from '../http/openapi.generated.ts'

export type Schemas = components['schemas']

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

type OperationOf<M extends Method, P extends keyof paths> = P extends keyof paths
  ? NonNullable<paths[P][Lowercase<M>]>
  : never

/** Every path that has this method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<Lowercase<M>, object> ? P : never
}[keyof paths]

type Optional<T> = { [K in keyof T]?: T[K] | undefined }

type ParametersOf<Operation> = Operation extends { parameters: { path: infer Path extends object } }
  ? { path: Path }
  : { path?: never }

export type QueryOf<M extends Method, P extends PathOf<M>> =
  OperationOf<M, P> extends { parameters: { query?: infer Query } } ? Optional<NonNullable<Query>> : never

type BodyOf<Operation> = Operation extends { requestBody?: { content: { 'application/json': infer Body } } }
  ? Body
  : never

type JsonOf<Response> = Response extends { content: { 'application/json': infer Body } } ? Body : Record<string, never>

/** The JSON of a successful reply; an object without members where the reply has no body. */
export type ReplyOf<M extends Method, P extends PathOf<M>> =
  OperationOf<M, P> extends { responses: infer Responses }
    ? JsonOf<Responses[keyof Responses & (200 | 201 | 202 | 204)]>
    : never

export type ItemOf<P extends PathOf<'GET'>> = ReplyOf<'GET', P> extends { items: (infer Item)[] } ? Item : never

/** What every call takes, whatever its path. */
type Common = {
  /** A body that was read from a file: the server checks it. */
  definition?: Record<string, unknown>
  /** Sent as `If-Match`: the revision or version that the write replaces. */
  ifMatch?: number
  /** Sent as `Purser-Reason`. */
  reason?: string | undefined
  /** A bearer token in place of PURSER_API_TOKEN; null for a public route. */
  token?: string | null | undefined
}

export type RequestOf<M extends Method, P extends PathOf<M>> = Common &
  ParametersOf<OperationOf<M, P>> & { query?: QueryOf<M, P>; body?: BodyOf<OperationOf<M, P>> }

/** The request may be left out where the path has no parameters. */
export type RequestArgument<M extends Method, P extends PathOf<M>> =
  OperationOf<M, P> extends { parameters: { path: object } } ? [RequestOf<M, P>] : [RequestOf<M, P>?]

/** The same without its types, as it is sent. */
export type AnyRequest = Common & {
  path?: Readonly<Record<string, string | number>>
  query?: Readonly<Record<string, string | number | boolean | undefined>>
  body?: unknown
}
