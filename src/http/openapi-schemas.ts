/** The schemas of `openapi.yaml`: resolves references, and bounds the work on oversized values. */

/** A JSON object of the document. */
export type Node = { readonly [name: string]: unknown }

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Copies a document with each `$ref` replaced by its target. Members beside a `$ref` override those of the target (OpenAPI
 * 3.1 allows them in schemas). All references to one target share one object.
 * @throws Error when a reference leads nowhere, outside the document, or in a circle
 */
export function inline(document: unknown): unknown {
  const resolved = new Map<string, unknown>()
  const resolving = new Set<string>()
  const follow = (reference: string): unknown => {
    if (resolved.has(reference)) return resolved.get(reference)
    if (resolving.has(reference)) throw new Error(`${reference} leads in a circle`)
    resolving.add(reference)
    const target = copy(targetOf(document, reference))
    resolving.delete(reference)
    resolved.set(reference, target)
    return target
  }
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(copy)
    if (!isNode(value)) return value
    const { $ref: reference, ...beside } = value
    if (typeof reference !== 'string') return mapValues(value, copy)
    const target = follow(reference)
    return Object.keys(beside).length === 0 ? target : { ...(isNode(target) ? target : {}), ...mapValues(beside, copy) }
  }
  return copy(document)
}

/** The target of a local reference (RFC 6901 section 6, without percent-encoding). */
export function targetOf(document: unknown, reference: string): unknown {
  if (!reference.startsWith('#/')) throw new Error(`${reference} is not inside the document`)
  let at = document
  for (const step of reference.slice(2).split('/')) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (!isNode(at) || !Object.hasOwn(at, name)) throw new Error(`${reference} leads nowhere`)
    at = at[name]
  }
  return at
}

/** A limit, its opposite, and the keywords that inspect the content. */
const guards = [
  ['maxItems', 'minItems', ['items', 'uniqueItems']],
  ['maxProperties', 'minProperties', ['propertyNames', 'additionalProperties']],
  ['maxLength', 'minLength', ['pattern', 'x-expected']],
] as const

/**
 * Changes a schema so that the content of an oversized value is not inspected. With `allErrors`, Ajv would otherwise
 * validate each of a million items after `maxItems` has failed.
 */
export function bound(schema: Node): Node {
  const result: Record<string, unknown> = { ...mapSchemas(schema, bound) }
  const conditions: Node[] = []
  for (const [max, min, keywords] of guards) {
    const limit = result[max]
    const inside = keywords.filter((keyword) => keyword in result)
    if (typeof limit !== 'number' || inside.length === 0) continue
    // additionalProperties closes the schema against the properties beside it, so both stay together.
    if (inside.some((keyword) => keyword === 'additionalProperties') && 'properties' in result) continue
    const inspection = Object.fromEntries(inside.map((keyword) => [keyword, result[keyword]]))
    conditions.push({ if: { [min]: limit + 1 }, else: inspection })
    for (const keyword of inside) delete result[keyword]
  }
  return conditions.length === 0 ? result : { ...result, allOf: [...list(result['allOf']), ...conditions] }
}

/** Applies a function to each schema directly inside a schema. */
export function mapSchemas(schema: Node, change: (inner: Node) => Node): Node {
  const changed = (value: unknown): unknown => (isNode(value) ? change(value) : value)
  const result: Record<string, unknown> = { ...schema }
  for (const keyword of ['items', 'additionalProperties', 'propertyNames']) {
    if (keyword in result) result[keyword] = changed(result[keyword])
  }
  for (const keyword of ['oneOf', 'anyOf', 'allOf']) {
    if (keyword in result) result[keyword] = list(result[keyword]).map(changed)
  }
  if (isNode(result['properties'])) result['properties'] = mapValues(result['properties'], changed)
  return result
}

export const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : [])

export const nodes = (value: unknown): Node[] => list(value).filter(isNode)

const mapValues = (node: Node, change: (value: unknown) => unknown): Node =>
  Object.fromEntries(Object.entries(node).map(([name, value]) => [name, change(value)]))
