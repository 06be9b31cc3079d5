/** Converts path, query and header parameters from text to the types of the document. */
import { isUtf8 } from 'node:buffer'
import type { Check } from './openapi-compile.ts'
import { type Node, isNode } from './openapi-schemas.ts'
import { type ValidationProblem, problemsOf } from './openapi-problems.ts'

type Place = 'path' | 'query' | 'header'
export type Presented = Readonly<Record<string, unknown>>

export type Parameters = ReturnType<typeof createParameters>

/**
 * The parameters of one place. Unknown query parameters are refused; unknown headers are ignored. An integer has decimal
 * digits only: Ajv's coercion would accept `1e3`, `0x10` and ` 5 `.
 */
export function createParameters(place: Place, all: readonly Node[], compile: (schema: Node) => Check) {
  const placed = all.filter((parameter) => parameter['in'] === place)
  const schemas = placed.map((parameter) => ({
    name: String(parameter['name']),
    // The route checks required headers: it answers 428 if If-Match is missing.
    required: parameter['required'] === true && place !== 'header',
    many: parameter['x-segments'] === 'many',
    repeated: isNode(parameter['schema']) && parameter['schema']['type'] === 'array',
    schema: isNode(parameter['schema']) ? parameter['schema'] : {},
  }))
  const check = compile({
    type: 'object',
    additionalProperties: false,
    required: schemas.filter((schema) => schema.required).map((schema) => schema.name),
    properties: Object.fromEntries(schemas.map((schema) => [schema.name, schema.schema])),
  })
  const schemasByName = new Map(schemas.map((schema) => [schema.name, schema]))

  return {
    read(presented: Presented): { values: Record<string, unknown>; problems: ValidationProblem[] } {
      const values: Record<string, unknown> = Object.create(null)
      const problems: ValidationProblem[] = []
      if (schemasByName.size === 0 && (place !== 'query' || Object.keys(presented).length === 0))
        return { values, problems }
      if (place === 'query') Object.assign(values, presented)
      for (const { name, many, repeated, schema } of schemasByName.values()) {
        const text = place === 'header' ? header(presented[name.toLowerCase()]) : ownMember(presented, name)
        const joined = many && Array.isArray(text) ? text.join('/') : text
        if (repeated) {
          if (joined !== undefined) values[name] = Array.isArray(joined) ? joined : [joined]
        } else if (Array.isArray(joined)) {
          problems.push({ pointer: `/${place}/${name}`, detail: 'must occur once' })
          delete values[name]
        } else if (joined !== undefined) values[name] = coerce(schema, joined)
        else if (schema['default'] !== undefined) values[name] = schema['default']
      }
      const failures = problemsOf(check(values), `/${place}`)
      problems.push(...failures.filter((problem) => !problems.some((earlier) => earlier.pointer === problem.pointer)))
      return { values, problems }
    },
  }
}

const ownMember = (presented: Presented, name: string): unknown =>
  Object.hasOwn(presented, name) ? presented[name] : undefined

function coerce(schema: Node, text: unknown): unknown {
  if (typeof text !== 'string') return text
  if (schema['type'] === 'integer') return /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : text
  if (schema['type'] === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  return text
}

/** Node decodes headers as Latin-1. Bytes that are valid UTF-8 are decoded as UTF-8. */
function header(value: unknown): unknown {
  if (typeof value !== 'string') return value
  const bytes = Buffer.from(value, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : value
}
