/** `purser token`: the API tokens of operators, by id. A token itself is shown once, when it is created. */
import type { Command } from 'commander'
import type { Io } from './io.ts'
import { minute } from './output.ts'
import { addChange, addList } from './verb.ts'

export function addToken(program: Command, io: Io): void {
  const group = program.command('token').summary("list and revoke operators' API tokens")
  addList(group, io, {
    summary: 'list API tokens, without their values',
    examples: ['purser token list'],
    items: (api) => api.all('/api/v1/tokens'),
    header: ['ID', 'OPERATOR', 'ROLE', 'CREATED', 'EXPIRES', 'STATE'],
    row: ({ id, operator, role, createdAt, expiresAt, revokedAt }) => [
      id,
      operator,
      role,
      minute(createdAt),
      minute(expiresAt),
      revokedAt === undefined ? 'live' : 'revoked',
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
