/** `purser join-token create`: a short-lived token for a workload without an orchestrator. */
import type { Command } from 'commander'
import type { Io } from './io.ts'
import { positive, seconds } from './options.ts'
import { remark, show } from './output.ts'
import { type VerbFlags, addVerb } from './verb.ts'

type Flags = VerbFlags & { lifetime?: number; uses?: number }

export function addJoinToken(program: Command, io: Io): void {
  const group = program.command('join-token').summary('create join tokens for workloads without an orchestrator')
  addVerb(group, io, {
    usage: 'create <workload>',
    summary: 'create a join token for a workload entry of the attestor join',
    description: 'Creates a join token and prints it to stdout. It is shown once: Purser keeps only its hash.',
    options: (command) =>
      command
        .option('--lifetime <time>', 'lifetime of the token, such as 1h (default 10m)', seconds)
        .option('--uses <n>', 'how many times it can be used (default 1)', positive),
    reason: true,
    examples: [
      'purser join-token create build-agent > token',
      'purser join-token create build-agent --uses 20 --lifetime 1h',
    ],
    run: async (api, { lifetime, uses, reason, ...flags }: Flags, workload) => {
      const body = {
        workload,
        ...(lifetime !== undefined && { lifetimeSeconds: lifetime }),
        ...(uses !== undefined && { uses }),
      }
      const reply = await api.call('POST', '/api/v1/join-tokens', { body, reason })
      show(io, flags, reply.body, ({ token }) => `${token}\n`)
      const { id, expiresAt, uses: remaining } = reply.body
      remark(io, `${id}: for ${workload}, usable ${remaining === 1 ? 'once' : `${remaining} times`} until ${expiresAt}`)
    },
  })
}
