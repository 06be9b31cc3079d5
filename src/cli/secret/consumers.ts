/** `purser secret consumers`: who holds which version now. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { positive, withExamples, withOutput, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretUrl, withPath } from './place.ts'
import { type Consumer, consumerTable } from './rotation-reply.ts'

type Flags = ServerFlags & OutputFlags & { version?: number; waitedFor?: true }

export function addConsumers(group: Command, io: Io): void {
  const command = withPath(group.command('consumers').summary('who holds which version, and who is waited for'))
    .option('--version <n>', 'those that hold this one', positive)
    .option('--waited-for', 'those that a rotation waits for')
    .action(async (path: string, refused: string[], flags: Flags) => {
      const url = secretUrl(path, refused, ':consumers')
      const all = await withApi(io, flags, (api) => api.all<Consumer>(url))
      const items = all.filter(
        (one) => (flags.version === undefined || one.version === flags.version) && (!flags.waitedFor || one.waitedFor),
      )
      show(io, flags, { items }, () => consumerTable(items))
    })
  withExamples(
    withOutput(withServer(command)),
    'purser secret consumers prod/db/password',
    'purser secret consumers prod/db/password --waited-for -o json',
  )
}
