/** `purser secret consumers`: which session has which version. */
import type { Command } from 'commander'
import { CliError, type Io, exitCodes } from '../io.ts'
import { positive } from '../options.ts'
import { show } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { withPath } from './place.ts'
import { isProven, logKeys, proofTable, prove } from './proof.ts'
import { consumerTable } from './rotation-reply.ts'

type Flags = VerbFlags & { version?: number; waitedFor?: true; proof?: true }

export function addConsumers(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'consumers',
    summary: 'list which session has which version',
    options: (command) =>
      withPath(command)
        .option('--version <n>', 'only consumers that hold this version', positive)
        .option('--waited-for', 'only consumers that a rotation waits for')
        .option('--proof', "prove each row by its log entry, verified offline with the log's key (PURSER_LOG_KEY)"),
    examples: [
      'purser secret consumers prod/db/password',
      'purser secret consumers prod/db/password --waited-for -o json',
      'purser secret consumers prod/db/password --proof',
    ],
    run: async (api, { version, waitedFor, proof, ...flags }: Flags, path) => {
      const vkeys = proof && logKeys(io)
      const all = await api.all('/api/v1/secrets/{path}:consumers', { path: { path } })
      const items = all.filter(
        (consumer) => (version === undefined || consumer.version === version) && (!waitedFor || consumer.waitedFor),
      )
      if (!vkeys) return show(io, flags, { items }, () => consumerTable(items))
      const proven = await prove(api, path, items, vkeys)
      show(io, flags, { items: proven }, () => proofTable(proven))
      if (!proven.every(isProven)) throw new CliError('not every consumer is proved by the log', exitCodes.unverified)
    },
  })
}
