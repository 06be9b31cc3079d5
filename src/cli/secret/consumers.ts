/** `purser secret consumers`: which session has which version. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import { CliError, type Io, exitCodes } from '../io.ts'
import { positive, withExamples, withOutput, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretPath, withPath } from './place.ts'
import { isProven, logKeys, proofTable, prove } from './proof.ts'
import { consumerTable } from './rotation-reply.ts'

type Flags = ServerFlags & OutputFlags & { version?: number; waitedFor?: true; proof?: true }

export function addConsumers(group: Command, io: Io): void {
  const command = withPath(group.command('consumers').summary('list which session has which version'))
    .option('--version <n>', 'only consumers that hold this version', positive)
    .option('--waited-for', 'only consumers that a rotation waits for')
    .option('--proof', "prove each row by its log entry, verified offline with the log's key (PURSER_LOG_KEY)")
    .action(async (path: string, refused: string[], flags: Flags) => {
      const place = { path: { path: secretPath(path, refused) } }
      const vkeys = flags.proof && logKeys(io)
      await withApi(io, flags, async (api) => {
        const all = await api.all('/api/v1/secrets/{path}:consumers', place)
        const items = all.filter(
          (consumer) =>
            (flags.version === undefined || consumer.version === flags.version) &&
            (!flags.waitedFor || consumer.waitedFor),
        )
        if (!vkeys) return show(io, flags, { items }, () => consumerTable(items))
        const proven = await prove(api, path, items, vkeys)
        show(io, flags, { items: proven }, () => proofTable(proven))
        if (!proven.every(isProven)) throw new CliError('not every consumer is proved by the log', exitCodes.unverified)
      })
    })
  withExamples(
    withOutput(withServer(command)),
    'purser secret consumers prod/db/password',
    'purser secret consumers prod/db/password --waited-for -o json',
    'purser secret consumers prod/db/password --proof',
  )
}
