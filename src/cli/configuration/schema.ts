/** The JSON Schema (2020-12) of a configuration, made from the schemas of openapi.yaml. */
import { type Check, createCompiler } from '../../http/openapi-compile.ts'
import { type Node, bound, inline, isNode, list, targetOf } from '../../http/openapi-schemas.ts'
import { type KindName, kindNames, kinds } from './kinds.ts'
import { policyTest, testName } from './policy-test-schema.ts'

/** What a document can be: an object, or a test of the policy. */
export type DocumentKind = KindName | 'policy-test'

export const documentKinds: readonly DocumentKind[] = [...kindNames, 'policy-test']

const components = '#/components/schemas/'
const refTo = (name: string): Node => ({ $ref: `${components}${name}` })

const descriptions: Record<DocumentKind, string> = {
  attestor: 'A source of proof: a cluster, a CI system, a cloud',
  database: 'A database in which workloads get roles of their own',
  workload: 'How a workload is recognized, and what it may have',
  'rotation-policy': 'How a secret is rotated; the name is the path of the secret',
  operator: 'A person or automation, in which role and within which bound; passwords and tokens are in no file',
  'policy-test': 'What a caller may have, and may not have; run by purser policy test',
}

/** @param openapi the document, with its references */
function createDocuments(openapi: unknown): Record<DocumentKind, Node> {
  const documentFor = (kind: KindName): Node => {
    const { schema, nameSchema, ...rest } = kinds[kind]
    const spec = withoutName(openapi, targetOf(openapi, `${components}${schema}`))
    const required = 'required' in rest ? { required: [...list(spec['required']), ...rest.required] } : {}
    return documentOf(kind, refTo(nameSchema), { ...spec, ...required })
  }
  return {
    attestor: documentFor('attestor'),
    database: documentFor('database'),
    workload: documentFor('workload'),
    'rotation-policy': documentFor('rotation-policy'),
    operator: documentFor('operator'),
    'policy-test': documentOf('policy-test', testName, policyTest),
  }
}

function documentOf(kind: DocumentKind, name: Node, spec: Node): Node {
  return {
    type: 'object',
    description: descriptions[kind],
    additionalProperties: false,
    required: ['kind', 'name', 'spec'],
    properties: { kind: { type: 'string', const: kind }, name, spec },
  }
}

/** The name is beside the specification; a password is in no file. */
function withoutName(openapi: unknown, schema: unknown): Node {
  if (!isNode(schema)) throw new Error('a schema of openapi.yaml is missing')
  if (typeof schema['$ref'] === 'string') return withoutName(openapi, targetOf(openapi, schema['$ref']))
  if ('oneOf' in schema) return { ...schema, oneOf: list(schema['oneOf']).map((form) => withoutName(openapi, form)) }
  const { properties, required, ...rest } = schema
  const { name: _, admin, ...others } = isNode(properties) ? properties : {}
  return {
    ...rest,
    required: list(required).filter((member) => member !== 'name'),
    properties: { ...others, ...(isNode(admin) && { admin: withoutPassword(admin) }) },
  }
}

function withoutPassword(admin: Node): Node {
  const { password: _, ...properties } = isNode(admin['properties']) ? admin['properties'] : {}
  return { ...admin, description: 'A role with CREATEROLE that may grant what the roles get; no superuser', properties }
}

/** The members of a specification, in the order in which openapi.yaml has them. */
export function memberOrder(openapi: unknown, kind: KindName): string[] {
  const { spec } = nodeAt(createDocuments(openapi), `#/${kind}/properties`)
  const forms = isNode(spec) && 'oneOf' in spec ? list(spec['oneOf']) : [spec]
  return forms.flatMap((form) => (isNode(form) && isNode(form['properties']) ? Object.keys(form['properties']) : []))
}

/** The schema as it is published: one of the kinds, with the schemas that they refer to. */
export function createSchema(openapi: unknown): Node {
  const definitions = new Map<string, unknown>()
  const move = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(move)
    if (!isNode(value)) return value
    return Object.fromEntries(
      Object.entries(explained(value)).map(([name, member]) => [name, withReferences(name, member)]),
    )
  }
  const withReferences = (name: string, member: unknown): unknown => {
    if (name !== '$ref' || typeof member !== 'string') return move(member)
    const target = member.slice(components.length)
    if (!definitions.has(target)) {
      definitions.set(target, undefined)
      definitions.set(target, move(targetOf(openapi, member)))
    }
    return `#/$defs/${target}`
  }
  const documents = Object.entries(createDocuments(openapi)).map(([kind, schema]) => [kind, move(schema)] as const)
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Purser configuration',
    description: 'One document for each object',
    oneOf: documents.map(([kind]) => ({ $ref: `#/$defs/${kind}` })),
    $defs: Object.fromEntries([...documents, ...definitions]),
  }
}

/** `x-expected` says in words what a pattern allows: editors show it as the description. */
function explained({ 'x-expected': expected, ...schema }: Node): Node {
  return typeof expected === 'string' && schema['description'] === undefined
    ? { ...schema, description: expected }
    : schema
}

/** Validators of documents. A schema is compiled when it is first used. */
export function createChecks(openapi: unknown): (kind: DocumentKind) => Check {
  const { components: shared } = isNode(openapi) ? openapi : {}
  const documents = inline({ components: shared, documents: createDocuments(openapi) })
  const compile = createCompiler()
  const compiled = new Map<DocumentKind, Check>()
  return (kind) => {
    const check = compiled.get(kind) ?? compile(bound(nodeAt(documents, `#/documents/${kind}`)))
    compiled.set(kind, check)
    return check
  }
}

function nodeAt(document: unknown, reference: string): Node {
  const node = targetOf(document, reference)
  if (isNode(node)) return node
  throw new Error(`${reference} is no schema`)
}
