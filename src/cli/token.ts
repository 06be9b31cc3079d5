/** `purser token`: the API tokens of operators, by id. A token itself is shown once, when it is created. */
import type { Command } from 'commander'
import type { Api, ApiReply } from './api.ts'
import type { Schemas } from './api-types.ts'
import { type BoundFlags, addBoundOptions, boundIn, shortBound } from './bound-options.ts'
import type { Io } from './io.ts'
import { repeated, seconds } from './options.ts'
import { roleOption } from './operator.ts'
import { minute, remark, show } from './output.ts'
import { type VerbFlags, addChange, addList, addVerb } from './verb.ts'

type CreateFlags = BoundFlags & {
  operator?: string
  role?: Schemas['Role']
  route?: string[]
  expires?: number
  description?: string
}

export function addToken(program: Command, io: Io): void {
  const group = program.command('token').summary('create, replace, list and revoke the API tokens of operators')
  addCreate(group, io)
  addReplace(group, io)
  addList(group, io, {
    summary: 'list API tokens, without their values',
    description: 'Lists API tokens. Operators see their own with `--operator self`; admins and auditors see all.',
    options: (command) => command.option('--operator <name>', 'only tokens of this operator; self for your own'),
    examples: ['purser token list', 'purser token list --operator self'],
    items: (api, { operator }: VerbFlags & { operator?: string }) => api.all('/api/v1/tokens', { query: { operator } }),
    header: ['ID', 'OPERATOR', 'ROLE', 'ROUTES', 'CREATED', 'EXPIRES', 'LAST USED', 'STATE', 'DESCRIPTION'],
    row: ({ id, operator, role, routes, createdAt, expiresAt, lastUsedAt, revokedAt, description = '' }) => [
      id,
      operator,
      role,
      routes ? String(routes.length) : 'all',
      minute(createdAt),
      minute(expiresAt),
      lastUsedAt === undefined ? '-' : minute(lastUsedAt),
      stateOf(expiresAt, revokedAt),
      description,
    ],
  })
  addChange(group, io, {
    usage: 'revoke',
    summary: 'revoke an API token',
    options: (command) => command.argument('<id>', 'public id of the token, tok_…; never the token itself'),
    examples: ['purser token revoke tok_5bce29a0d4f1467e93a2c8d07b6e1f35 --reason "left the company"'],
    call: async (api, { reason }, id) => {
      const { logIndex } = await api.call('DELETE', '/api/v1/tokens/{id}', { path: { id }, reason })
      return { body: { id, revoked: true, logIndex }, logIndex }
    },
    row: ({ id }) => [`token ${id} revoked`],
  })
}

function addCreate(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'create',
    summary: 'create an API token',
    description:
      'Creates an API token and prints it to stdout. It is shown once: Purser keeps only its hash. The token allows at most what your own token and its operator allow.',
    options: (command) =>
      addBoundOptions(command)
        .option('--operator <name>', 'operator that the token belongs to (default: you); needs an admin')
        .addOption(roleOption('role of the token (default: the widest that you and the operator both may have)'))
        .option(
          '--route <route>',
          'a route that the token may call, as in openapi.yaml; may be repeated (default: those of your token)',
          repeated,
        )
        .option('--expires <time>', 'lifetime of the token, from 1m to 365d (default 30d)', seconds)
        .option('--description <text>', 'what the token is for'),
    reason: true,
    examples: [
      'purser token create --expires 24h > token',
      "purser token create --operator shop-ci --role operator --route 'PUT /api/v1/secrets/{path}' --description deploys",
    ],
    run: async (api, { operator, role, route, expires, description, reason, ...flags }: CreateFlags) => {
      const body = {
        ...boundIn(flags),
        ...(operator !== undefined && { operator }),
        ...(role !== undefined && { role }),
        ...(route !== undefined && { routes: route }),
        ...(expires !== undefined && { lifetimeSeconds: expires }),
        ...(description !== undefined && { description }),
      }
      showCreated(io, flags, await api.call('POST', '/api/v1/tokens', { body, reason }))
    },
  })
}

function addReplace(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'replace',
    summary: 'revoke an API token and create another one with the same rights',
    description:
      'Revokes a token, and prints another one with the same operator, role and routes to stdout. Without an id it replaces the token in PURSER_API_TOKEN, also if it is the only admin token.',
    options: (command) =>
      command
        .argument('[id]', 'public id of the token, tok_…; never the token itself')
        .option('--expires <time>', 'lifetime of the new token, from 1m to 365d (default 30d)', seconds),
    reason: true,
    examples: [
      'purser token replace > token',
      'purser token replace tok_5bce29a0d4f1467e93a2c8d07b6e1f35 --reason "the token leaked"',
    ],
    run: async (api, { expires, reason, ...flags }: VerbFlags & { expires?: number }, id?: string) => {
      const body = expires === undefined ? {} : { lifetimeSeconds: expires }
      const path = { id: id ?? (await ownTokenId(api)) }
      showCreated(io, flags, await api.call('POST', '/api/v1/tokens/{id}:replace', { path, body, reason }))
      remark(io, `${path.id} is revoked`)
    },
  })
}

const ownTokenId = async (api: Api): Promise<string> =>
  (await api.call('GET', '/api/v1/credentials/self')).body.tokenId ?? ''

function showCreated(io: Io, flags: VerbFlags, { body }: ApiReply<Schemas['CreatedToken']>): void {
  show(io, flags, body, ({ token }) => `${token}\n`)
  const { id, operator, role, routes, bound, expiresAt } = body
  const limits =
    (routes ? `, limited to ${routes.join(', ')}` : '') +
    (bound === 'everything' ? '' : `, within the bound ${shortBound(bound)}`)
  remark(io, `${id}: for ${operator} in the role ${role}${limits}, valid until ${expiresAt}. It is not shown again.`)
}

function stateOf(expiresAt: string, revokedAt: string | undefined): string {
  if (revokedAt !== undefined) return 'revoked'
  return Date.parse(expiresAt) > Date.now() ? 'live' : 'expired'
}
