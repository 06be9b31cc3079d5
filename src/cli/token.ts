/** `purser token`: the API tokens of operators, by id. A token itself is shown once, when it is created. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Io } from './io.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

export function addToken(program: Command, io: Io): void {
  const group = program.command('token').summary("list and revoke operators' API tokens")
  addList(group, io)
  addRevoke(group, io)
}

const minute = (time: string): string => time.slice(0, 16).replace('T', ' ')

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list API tokens, without their values')
    .action(async (flags: Flags) => {
      const items = await withApi(io, flags, (api) => api.all('/api/v1/tokens'))
      const rows = items.map(({ id, operator, role, createdAt, expiresAt, revokedAt }) => [
        id,
        operator,
        role,
        minute(createdAt),
        minute(expiresAt),
        revokedAt === undefined ? 'live' : 'revoked',
      ])
      show(io, flags, { items }, () => table(rows, ['ID', 'OPERATOR', 'ROLE', 'CREATED', 'EXPIRES', 'STATE']))
    })
  withExamples(withOutput(withServer(command)), 'purser token list')
}

function addRevoke(group: Command, io: Io): void {
  const command = group
    .command('revoke')
    .summary('revoke an API token')
    .argument('<id>', 'public id of the token, tok_…; never the token itself')
    .action(async (id: string, flags: Flags) => {
      const { reason } = flags
      const { logIndex } = await withApi(io, flags, (api) =>
        api.call('DELETE', '/api/v1/tokens/{id}', { path: { id }, reason }),
      )
      show(io, flags, { id, revoked: true, logIndex }, () => `token ${id} revoked  log ${logIndex}\n`)
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser token revoke tok_5bce29a0d4f1467e93a2c8d07b6e1f35 --reason "left the company"',
  )
}
