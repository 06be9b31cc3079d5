/** `purser join-token create`: a short-lived token for a workload without an orchestrator. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Io } from './io.ts'
import { positive, seconds, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, remark, show } from './output.ts'

type Flags = ServerFlags & OutputFlags & { lifetime?: number; uses?: number; reason?: string }

export function addJoinToken(program: Command, io: Io): void {
  const group = program.command('join-token').summary('create join tokens for workloads without an orchestrator')
  const command = group
    .command('create')
    .summary('create a join token for a workload entry of the attestor join')
    .description('Creates a join token and prints it to stdout. It is shown once: Purser keeps only its hash.')
    .argument('<workload>')
    .option('--lifetime <time>', 'lifetime of the token, such as 1h (default 10m)', seconds)
    .option('--uses <n>', 'how many times it can be used (default 1)', positive)
    .action(async (workload: string, flags: Flags) => {
      const { lifetime, uses, reason } = flags
      const body = {
        workload,
        ...(lifetime !== undefined && { lifetimeSeconds: lifetime }),
        ...(uses !== undefined && { uses }),
      }
      const reply = await withApi(io, flags, (api) => api.call('POST', '/api/v1/join-tokens', { body, reason }))
      show(io, flags, reply.body, ({ token }) => `${token}\n`)
      const { id, expiresAt, uses: left } = reply.body
      remark(io, `${id}: for ${workload}, usable ${left === 1 ? 'once' : `${left} times`} until ${expiresAt}`)
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser join-token create build-agent > token',
    'purser join-token create build-agent --uses 20 --lifetime 1h',
  )
}
