/** One operation of `openapi.yaml`: the members of its `x-purser`, and its validators, each compiled at its first use. */
import type { Check } from './openapi-compile.ts'
import type { operations } from './openapi.generated.ts'
import { type Parameters, type Presented, createParameters } from './openapi-parameters.ts'
import { type ValidationProblem, problemsOf } from './openapi-problems.ts'
import { type Node, bound, isNode, nodes } from './openapi-schemas.ts'

export type OperationId = keyof operations

type ParametersOf<Id extends OperationId, Place extends 'path' | 'query'> = NonNullable<
  operations[Id]['parameters'][Place]
>

/** The values of the parameters, with the types of their schemas. */
type Values<Id extends OperationId = OperationId> = {
  path: ParametersOf<Id, 'path'>
  query: ParametersOf<Id, 'query'>
  /** A revision; 0 to create. The route answers 428 if it is required and missing. */
  ifMatch?: number
  /** Entity tags of copies that the caller has, or `*`. */
  ifNoneMatch?: string
  idempotencyKey?: string
  /** The id of an approval. */
  approval?: string
  reason?: string
  lastEventId?: string
}

type Parsed<Id extends OperationId = OperationId> =
  { values: Values<Id>; problems: [] } | { values: undefined; problems: ValidationProblem[] }

export type Operation<Id extends OperationId = OperationId> = {
  operationId: Id
  /** In upper case. */
  method: string
  /** As in the document: `/api/v1/workloads/{name}:disable`. */
  path: string
  /** The path parameters that may contain slashes. */
  manySegments: readonly string[]
  permission: string
  /** An action of the log, or `none`. */
  action: string
  limit: string
  /** Bytes; 0 if the operation has no body. */
  maxBodyBytes: number
  /** Of the body; empty if the operation has none. */
  mediaTypes: readonly string[]
  /** The conventional headers that the operation reads. Other operations ignore them. */
  takes: { ifMatch: boolean; idempotencyKey: boolean; reason: boolean }
  /** Validates a parsed body, which is `undefined` if none was sent. At most 20 problems. */
  validateBody(value: unknown, mediaType?: string): ValidationProblem[]
  /** Validates copies of the parameters from Express and Node. At most 20 problems. */
  validateParams(presented: { path?: Presented; query?: Presented; headers?: Presented }): Parsed<Id>
}

type Parts = {
  path: string
  method: string
  operation: Node
  operationId: OperationId
  /** Parameters of the path item, for all its methods. */
  shared: readonly Node[]
  compile: (schema: Node) => Check
}

export function createOperation({ path, method, operationId, operation, shared, compile }: Parts): Operation {
  const parameters = [...shared, ...nodes(operation['parameters'])]
  const purser = node(operation['x-purser'])
  const content = Object.entries(node(node(operation['requestBody'])['content']))
  const bodies = new Map(
    content.map(([type, media]) => [type, lazy(() => compile(bound(node(node(media)['schema']))))]),
  )
  const read = lazy(() => {
    const parametersIn = (place: 'path' | 'query' | 'header'): Parameters =>
      createParameters(place, parameters, (schema) => compile(bound(schema)))
    return { path: parametersIn('path'), query: parametersIn('query'), header: parametersIn('header') }
  })
  const takes = (header: string): boolean =>
    parameters.some((parameter) => parameter['in'] === 'header' && parameter['name'] === header)

  return {
    operationId,
    method: method.toUpperCase(),
    path,
    manySegments: parameters
      .filter((parameter) => parameter['x-segments'] === 'many')
      .map((parameter) => String(parameter['name'])),
    permission: String(purser['permission']),
    action: String(purser['action']),
    limit: String(purser['limit']),
    maxBodyBytes: Number(purser['maxBodyBytes']),
    mediaTypes: [...bodies.keys()],
    takes: { ifMatch: takes(ifMatch), idempotencyKey: takes(idempotencyKey), reason: takes(reason) },
    validateBody(value, mediaType = 'application/json') {
      if (value === undefined) return node(operation['requestBody'])['required'] === true ? [fault('is required')] : []
      if (bodies.size === 0) return [fault('this operation takes no body')]
      const check = bodies.get(mediaType)
      return check ? problemsOf(check()(value)) : [fault(`must be ${[...bodies.keys()].join(' or ')}`)]
    },
    validateParams(presented) {
      const inPath = read().path.read(presented.path ?? {})
      const inQuery = read().query.read(presented.query ?? {})
      const inHeader = read().header.read(presented.headers ?? {})
      const values = { path: inPath.values, query: inQuery.values, ...conventional(inHeader.values) }
      const problems = [...inPath.problems, ...inQuery.problems, ...inHeader.problems].slice(0, 20)
      return isValid(values, problems) ? { values, problems: [] } : { values: undefined, problems }
    },
  }
}

/** The validators of the document accepted the values, so they have the generated types. */
const isValid = (values: object, problems: readonly ValidationProblem[]): values is Values =>
  'path' in values && problems.length === 0

const ifMatch = 'If-Match'
const ifNoneMatch = 'If-None-Match'
const idempotencyKey = 'Idempotency-Key'
const reason = 'Purser-Reason'
const approval = 'Purser-Approval'
const lastEventId = 'Last-Event-ID'

function conventional(headers: Readonly<Record<string, unknown>>): Partial<Values> {
  const match = headers[ifMatch]
  const copies = headers[ifNoneMatch]
  const key = headers[idempotencyKey]
  const note = headers[reason]
  const event = headers[lastEventId]
  const approvalId = headers[approval]
  return {
    ...(typeof match === 'string' ? { ifMatch: Number(match.slice(1, -1)) } : {}),
    ...(typeof copies === 'string' ? { ifNoneMatch: copies } : {}),
    ...(typeof key === 'string' ? { idempotencyKey: key } : {}),
    ...(typeof approvalId === 'string' ? { approval: approvalId } : {}),
    ...(typeof note === 'string' ? { reason: note } : {}),
    ...(typeof event === 'string' ? { lastEventId: event } : {}),
  }
}

const node = (value: unknown): Node => (isNode(value) ? value : {})

const fault = (detail: string): ValidationProblem => ({ pointer: '', detail })

function lazy<T>(create: () => T): () => T {
  let cached: { value: T } | undefined
  return () => (cached ??= { value: create() }).value
}
