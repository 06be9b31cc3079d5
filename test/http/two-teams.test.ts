/**
 * Two teams on one Purser. Each operation of openapi.yaml is called by operators of one team with every name of the other
 * team, in each place that takes a name. The reply has nothing of the other team, and is the reply for a name that does not
 * exist. The requests come from the document, so a new route is tested by itself.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type OperationId, loadOpenApi } from '../../src/http/openapi.ts'
import { type Node, inline, isNode, nodes } from '../../src/http/openapi-schemas.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type TargetServer, startTarget } from '../support/target.ts'
import { type Team, createTeam } from '../support/teams.ts'

const api = loadOpenApi()
const document = inline(api.written)
const node = (value: unknown): Node => (isNode(value) ? value : {})

type Names = Team['names']

/** The names that the parameter `name` or `id` of a path has, by the first segment after `/api/v1/`. */
const pathNames: Record<string, string> = {
  workloads: 'workload',
  attestors: 'attestor',
  databases: 'database',
  operators: 'operator',
  leases: 'lease',
  tokens: 'tokenId',
  revocations: 'revocation',
  containments: 'containment',
  approvals: 'approval',
}

/** Members of requests, and the name of a team that they take. The rest of a request stays as the document has it. */
const memberNames: Record<string, string> = {
  attestor: 'attestor',
  workload: 'workload',
  operator: 'operator',
  database: 'database',
  databases: 'database',
  path: 'path',
  paths: 'path',
  secrets: 'path',
  prefix: 'prefix',
  spiffeId: 'spiffeId',
  spiffeIdPrefix: 'spiffeIdPrefix',
  audience: 'audience',
  audiences: 'audience',
  dnsNames: 'dnsName',
  managedBy: 'managedBy',
  selector: 'selector',
  'oidc:sub': 'sub',
  session: 'session',
  serialNumber: 'serialNumber',
  sha256: 'sha256',
  jti: 'jti',
  token: 'jwt',
  accessToken: 'accessToken',
  leaseId: 'lease',
  requestId: 'requestId',
  tokenId: 'tokenId',
  actor: 'operator',
}

type Request = { id: OperationId; method: string; path: string; body?: unknown; fragment: string }

/** A session ends itself, and a relying party introspects the tokens of every team. */
const ofAnyWorkload = new Set<OperationId>(['endSession', 'introspectToken'])

const operations = api.operations.filter(({ permission }) => permission !== 'none' && permission !== 'bootstrap')

/** Every request of an operation that names things of a team. */
function requestsOf({ method, path, operationId }: (typeof operations)[number], names: Names): Request[] {
  const item = node(node(node(document)['paths'])[path])
  const operation = node(item[method.toLowerCase()])
  const parameters = [...nodes(item['parameters']), ...nodes(operation['parameters'])]
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => nameInPath(path, name, names))
  const queries = parameters
    .filter((parameter) => parameter['in'] === 'query')
    .flatMap((parameter) => {
      const value = names[memberNames[String(parameter['name'])] ?? '']
      return value === undefined ? [] : [`${String(parameter['name'])}=${encodeURIComponent(value)}`]
    })
  const bodies = bodiesOf(operation, names)
  const request = { id: operationId, method }
  return ['', ...queries].flatMap((query) =>
    (bodies.length > 0 ? bodies : [undefined]).map((body, n) => ({
      ...request,
      path: filled + (query === '' ? '' : `?${query}`),
      ...(body !== undefined && { body }),
      fragment: `${method} ${path} ${query.split('=')[0] ?? ''} ${n}`,
    })),
  )
}

function nameInPath(path: string, parameter: string, names: Names): string {
  const fixed: Record<string, string> = { path: names.path ?? '', kind: 'jwt', epoch: '1', index: names.index ?? '' }
  const [, first = ''] = /^\/api\/v1\/(\w+)/.exec(path) ?? []
  const value = fixed[parameter] ?? names[pathNames[first] ?? '']
  if (value === undefined) throw new Error(`say in pathNames what {${parameter}} of ${path} names`)
  return value
}

/** The examples of the document with the names of a team in every member that takes one. */
function bodiesOf(operation: Node, names: Names): unknown[] {
  const content = node(node(operation['requestBody'])['content'])
  const examples = Object.values(content).flatMap((media) => Object.values(node(node(media)['examples'])))
  return examples.map((example) => renamed(node(example)['value'], '', names))
}

function renamed(value: unknown, member: string, names: Names): unknown {
  const name = names[memberNames[member] ?? '']
  if (typeof value === 'string') return member === 'name' ? names.workload : (name ?? value)
  if (Array.isArray(value)) return value.map((item) => renamed(item, member, names))
  if (!isNode(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, renamed(inner, key, names)]))
}

/** Names of the same forms that no object has. */
function ghostsOf({ names, word }: Team): Names {
  const ghost = 'ghost' + word.slice(5)
  const hex = (text: string): string => text.replaceAll(/[0-9a-f]{16,}/g, (run) => randomBytes(run.length).toString('hex').slice(0, run.length)) // prettier-ignore
  return Object.fromEntries(
    Object.entries(names).map(([name, value]) => {
      if (name === 'index') return [name, '99999999']
      if (name === 'jwt') return [name, `${value.slice(0, -8)}AAAAAAAA`]
      return [name, hex(value.replaceAll(word, ghost))]
    }),
  )
}

describe('two teams', () => {
  let purser: TestPurser
  let target: TargetServer
  let red: Team
  let blue: Team
  beforeAll(async () => {
    const many = '1000000'
    target = await startTarget()
    purser = await startPurser({
      store: 'postgres',
      env: {
        PURSER_LIMIT_REFUSALS_PER_MINUTE: many,
        PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE: many,
        PURSER_LIMIT_ADDRESS_PER_SECOND: many,
        PURSER_APPROVAL_ACTIONS: 'secret.destroy',
      },
    })
    red = await createTeam(purser, target, `redxx${randomBytes(4).toString('hex')}`)
    blue = await createTeam(purser, target, `bluex${randomBytes(4).toString('hex')}`)
  })
  afterAll(async () => {
    await purser?.stop()
    await target?.stop()
  })

  /** A watch sends for as long as it is read: the first events suffice. */
  async function send({ method, path, body }: Request, token: string) {
    const abort = AbortSignal.timeout(path.startsWith('/api/v1/watch') ? 1_500 : 60_000)
    const response = await fetch(purser.url + path, {
      method,
      signal: abort,
      headers: {
        authorization: `Bearer ${token}`,
        'purser-reason': 'a look',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(['PUT', 'PATCH', 'DELETE'].includes(method) && { 'if-match': '"1"' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    let text = ''
    const decoder = new TextDecoder()
    try {
      for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true })
    } catch (error) {
      if (!abort.aborted) throw error
    }
    return { status: response.status, text }
  }

  /** Everything that is stored of a team, except when its tokens were used. */
  async function stateOf({ marks }: Team): Promise<string[]> {
    const tables = ['attestor', 'workload', 'database', 'operator', 'api_token', 'secret', 'secret_version', 'lease', 'session', 'block', 'containment', 'rotation', 'rotation_policy', 'approval'] // prettier-ignore
    const rows: string[] = []
    for (const table of tables) {
      for (const row of await purser.knex(table)) {
        const { last_used_at: _, ...rest } = row as Record<string, unknown>
        const text = JSON.stringify(rest)
        if (marks.some((mark) => text.includes(mark))) rows.push(`${table} ${text}`)
      }
    }
    return rows.toSorted()
  }

  it.each(['admin', 'operator', 'auditor', 'job'] as const)('cannot see each other: by the %s', async (role) => {
    const before = await stateOf(blue)
    const token = role === 'job' ? red.job : red.tokens[role].token
    const ghosts = ghostsOf(blue)
    const failures: string[] = []
    const called = role === 'job' ? operations.filter(({ operationId }) => !ofAnyWorkload.has(operationId)) : operations
    for (const operation of called) {
      const others = requestsOf(operation, blue.names)
      const unknown = requestsOf(operation, ghosts)
      for (const [n, request] of others.entries()) {
        const reply = await send(request, token)
        const again = await send(unknown[n] ?? request, token)
        const text = withoutOwn(reply.text, red)
        const requestText = JSON.stringify([request.path, request.body])
        const leaks = blue.marks.filter((mark) => text.includes(mark) && !requestText.includes(mark))
        if (leaks.length > 0) failures.push(`${request.fragment}: ${leaks.join(', ')} in ${reply.text.slice(0, 300)}`)
        const isSame =
          reply.status === again.status && plain(text, blue.names) === plain(withoutOwn(again.text, red), ghosts)
        if (!isSame) failures.push(`${request.fragment}: ${reply.status} ${reply.text.slice(0, 300)} but ${again.status} ${again.text.slice(0, 300)}`) // prettier-ignore
      }
    }
    expect(failures).toEqual([])
    expect(await stateOf(blue)).toEqual(before)
  })

  it('see their own: the same requests find the objects that they name', async () => {
    const operationIds: string[] = []
    for (const operation of operations.filter(({ method }) => method === 'GET')) {
      const [request] = requestsOf(operation, blue.names)
      if (!request) continue
      const reply = await send(request, blue.tokens.admin.token)
      if (reply.status === 200 && blue.marks.some((mark) => reply.text.includes(mark)))
        operationIds.push(operation.operationId)
    }
    expect(operationIds.toSorted()).toEqual(
      expect.arrayContaining([
        'getApproval',
        'getAttestor',
        'getContainment',
        'getDatabase',
        'getEntry',
        'getOperator',
        'getSecretMetadata',
        'getWorkload',
        'listApprovals',
        'listAttestors',
        'listContainments',
        'listDatabases',
        'listLeases',
        'listOperators',
        'listRevocations',
        'listSecrets',
        'listTokens',
        'listWorkloads',
        'searchEntries',
      ]),
    )
  })
})

/** Without the parts that differ between any two requests, and with the names of the request replaced by one. */
const plain = (text: string, names: Names): string =>
  Object.values(names)
    .filter((value) => value.length > 3)
    .toSorted((a, b) => b.length - a.length)
    .reduce((rest, value) => rest.replaceAll(value, '<name>'), text)
    .replaceAll(/(?:req|tok)_[0-9a-f]+/g, '<id>')
    .replaceAll(/purser_api_[\w-]+/g, '<token>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/"(?:to|from)":\d+/g, '<size>')
    .replaceAll(/"(?:checkpoint|nextCursor|challenge)":"[^"]+"/g, '<text>')

/** The entries of a team's own requests repeat what it wrote. */
function withoutOwn(text: string, { word }: Team): string {
  if (!text.startsWith('{"items":[{"epoch"')) return text
  const { items, ...page } = JSON.parse(text) as { items: { entry?: { actor: { operator?: string; spiffeId?: string } } }[] } // prettier-ignore
  const isOwn = ({ operator, spiffeId }: { operator?: string; spiffeId?: string }): boolean =>
    operator?.startsWith(word) === true || spiffeId === `spiffe://example.org/${word}/ci`
  const others = items.filter(({ entry }) => !entry || !isOwn(entry.actor))
  return JSON.stringify({ items: others, ...page })
}
