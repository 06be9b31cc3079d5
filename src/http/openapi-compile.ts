/** Configures Ajv: schemas are strict, values are never changed, and all errors are reported. */
import { type ErrorObject, Ajv2020 } from 'ajv/dist/2020.js'
import type { Node } from './openapi-schemas.ts'

/** A compiled schema. Returns the errors of a value. */
export type Check = (value: unknown) => readonly ErrorObject[]

export function createCompiler(): (schema: Node) => Check {
  const ajv = new Ajv2020({
    strict: true,
    // Off: `bound` separates keywords from their `type`, and `oneOf` lists members without one. A test sets both.
    strictTypes: false,
    strictRequired: false,
    allErrors: true,
    verbose: true,
    coerceTypes: false,
    useDefaults: false,
    formats: { 'date-time': isUtcTime },
  })
  ajv.addKeyword('x-expected')
  return (schema) => {
    const validate = ajv.compile(schema)
    return (value) => (validate(value) ? [] : (validate.errors ?? []))
  }
}

/** RFC 3339 in UTC, with milliseconds at most, and a day that exists. */
export function isUtcTime(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/.test(text)) return false
  const time = new Date(text)
  // Date rolls February 30 over into March.
  return !Number.isNaN(time.getTime()) && time.toISOString().slice(0, 19) === text.slice(0, 19)
}
