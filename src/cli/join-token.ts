/** `purser join-token create`: a short-lived token for a workload that has no orchestrator to vouch for it. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Io } from './io.ts'
import { positive, seconds, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, remark, show } from './output.ts'

type Flags = ServerFlags & OutputFlags & { lifetime?: number; uses?: number; reason?: string }

export function addJoinToken(program: Command, io: Io): void {
  const group = program.command('join-token').summary('let in a workload that no orchestrator vouches for')
  const command = group
    .command('create')
    .summary('make a token for one entry of the attestor join')
    .description('Makes a join token. It is shown once, on stdout; Purser keeps its hash.')
    .argument('<workload>')
    .option('--lifetime <time>', 'how long it is good: 600, 10m, 1h (default 10m)', seconds)
    .option('--uses <n>', 'how often it is good (default 1)', positive)
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
      remark(io, `${id}: for ${workload}, good ${left === 1 ? 'once' : `${left} times`} until ${expiresAt}`)
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser join-token create build-agent > token',
    'purser join-token create build-agent --uses 20 --lifetime 1h',
  )
}
