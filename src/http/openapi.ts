/** `openapi.yaml`: read once and served unchanged. Every request is validated against it. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { installedFile } from './installed.ts'
import { createCompiler } from './openapi-compile.ts'
import { type Operation, type OperationId, createOperation } from './openapi-operation.ts'
import { inline, isNode, nodes } from './openapi-schemas.ts'

export type { Operation, OperationId } from './openapi-operation.ts'

export type OpenApi = ReturnType<typeof readOpenApi>

const methods = ['get', 'put', 'post', 'delete', 'patch']

let ownDocument: OpenApi | undefined

/**
 * The document of this version: beside package.json, from `src/` and from `dist/` alike. A process reads it once, and
 * compiles the validators of an operation when it is first used.
 */
export const loadOpenApi = (): OpenApi => (ownDocument ??= readOpenApi(installedFile('openapi.yaml'), converted))

/** `dist/openapi.json`: the build converts the document, since a start takes 300 ms longer with the YAML. */
const converted = fileURLToPath(new URL('../../openapi.json', import.meta.url))

/**
 * @param json the same document as JSON, read in its place if it exists
 * @throws Error when the file is missing, isn't YAML, or holds a reference that leads nowhere
 */
export function readOpenApi(file: string, json?: string) {
  const text = readFileSync(file, 'utf8')
  const written: unknown = json !== undefined && existsSync(json) ? JSON.parse(readFileSync(json, 'utf8')) : parse(text)
  const document = inline(written)
  const paths = isNode(document) && isNode(document['paths']) ? Object.entries(document['paths']) : []
  const compile = createCompiler()
  const operations = paths.flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const operation = isNode(item) ? item[method] : undefined
      if (!isNode(item) || !isNode(operation)) return []
      const operationId = operation['operationId']
      if (!isOperationId(operationId)) throw new Error(`${method} ${path} has no operationId`)
      return createOperation({ path, method, operationId, operation, shared: nodes(item['parameters']), compile })
    }),
  )
  return {
    /** The document as it is served. */
    text,
    /** Parsed, with its references. */
    written,
    operations,
    operation: <Id extends OperationId>(operationId: Id): Operation<Id> => {
      const operation = operations.find((operation) => isOperation(operation, operationId))
      if (!operation) throw new Error(`openapi.yaml has no operation ${operationId}`)
      return operation
    },
  }
}

/** The generated types name every operation of the document; a test compares the two. */
const isOperationId = (name: unknown): name is OperationId => typeof name === 'string'

const isOperation = <Id extends OperationId>(operation: Operation, operationId: Id): operation is Operation<Id> =>
  operation.operationId === operationId
