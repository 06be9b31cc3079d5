/** Validates JSON replies against `openapi.yaml`, and refuses members that the document does not list. */
import { createCompiler } from '../../src/http/openapi-compile.ts'
import type { Check } from '../../src/http/openapi-compile.ts'
import { type OperationId, loadOpenApi } from '../../src/http/openapi.ts'
import { type ValidationProblem, problemsOf } from '../../src/http/openapi-problems.ts'
import { type Node, inline, isNode, mapSchemas } from '../../src/http/openapi-schemas.ts'

const api = loadOpenApi()
const document = node(inline(api.written))
const compile = createCompiler()
const checks = new Map<string, Check>()

function node(value: unknown): Node {
  return isNode(value) ? value : {}
}

/** Changes a schema so that objects have only the listed members: clients accept further members of a reply. */
export function close(schema: Node): Node {
  const inner = mapSchemas(schema, close)
  return 'properties' in inner && !('additionalProperties' in inner) ? { ...inner, additionalProperties: false } : inner
}

/** The schema of the JSON media type of a reply. */
function schemaOf(operationId: OperationId, status: string): Node {
  const { path, method } = api.operation(operationId)
  const responses = node(node(node(node(document['paths'])[path])[method.toLowerCase()])['responses'])
  const reply = node(responses[status] ?? responses['default'])
  const json = Object.entries(node(reply['content'])).find(([type]) => /^application\/(?:problem\+)?json$/.test(type))
  if (!json) throw new Error(`openapi.yaml has no JSON for ${status} of ${operationId}`)
  return node(node(json[1])['schema'])
}

export function validateReply(operationId: OperationId, status: number, value: unknown): ValidationProblem[] {
  const key = `${operationId} ${status}`
  const check = checks.get(key) ?? compile(close(schemaOf(operationId, String(status))))
  checks.set(key, check)
  return problemsOf(check(value))
}
