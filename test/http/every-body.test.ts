/** No request sets a column of the database by its name: each body of each operation refuses every member that it does not have. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { type Node, inline, isNode, nodes } from '../../src/http/openapi-schemas.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const api = loadOpenApi()
const document = inline(api.written)
const node = (value: unknown): Node => (isNode(value) ? value : {})

type Body = { name: string; example: Node; members: Set<string>; refusedPointers: (body: Node) => string[] }

/** The members of a schema, in any of its forms. */
function membersOf(schema: Node): string[] {
  const forms = ['allOf', 'oneOf', 'anyOf'].flatMap((kind) => nodes(schema[kind]))
  return [...Object.keys(node(schema['properties'])), ...forms.flatMap(membersOf)]
}

const bodies = api.operations.flatMap((operation): Body[] => {
  const { path, method, operationId } = operation
  const written = node(node(node(node(document)['paths'])[path])[method.toLowerCase()])
  const content = node(node(written['requestBody'])['content'])
  return Object.entries(content).flatMap(([mediaType, media]) => {
    const members = new Set(membersOf(node(node(media)['schema'])))
    return Object.entries(node(node(media)['examples'])).map(([title, example]) => ({
      name: `${operationId} ${title}`,
      example: node(node(example)['value']),
      members,
      refusedPointers: (body) => operation.validateBody(body, mediaType).map(({ pointer }) => pointer),
    }))
  })
})

/** What only the server sets. */
const ownedByServer = [
  'createdAt',
  'createdBy',
  'updatedAt',
  'deletedAt',
  'revokedAt',
  'firstUsedAt',
  'changed',
  'hash',
  'ownRole',
  'tenantId',
  'policies',
]

const camelCase = (name: string): string => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

describe('a body', () => {
  let purser: TestPurser
  let columns: Set<string>
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
    const names: string[] = await purser
      .knex('information_schema.columns')
      .where({ table_schema: 'public' })
      .pluck('column_name')
    columns = new Set(names.flatMap((name) => [name, camelCase(name)]))
  })
  afterAll(() => purser.stop())

  it('has an example that is valid, and no member that only the server sets', () => {
    expect(bodies.length).toBeGreaterThan(50)
    for (const { name, example, members, refusedPointers } of bodies) {
      expect(refusedPointers(example), name).toEqual([])
      expect(
        ownedByServer.filter((member) => members.has(member)),
        name,
      ).toEqual([])
    }
  })

  it('refuses the name of each column that is no member of it', () => {
    expect(columns.size).toBeGreaterThan(100)
    const names = [...columns, ...ownedByServer]
    const accepted = bodies.flatMap(({ name, example, members, refusedPointers }) =>
      names
        .filter(
          (column) => !members.has(column) && !refusedPointers({ ...example, [column]: 'x' }).includes(`/${column}`),
        )
        .map((column) => `${name}: ${column}`),
    )
    expect(accepted).toEqual([])
  })
})
