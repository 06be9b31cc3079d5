/** `purser audit export`: the log as JSON lines, as they come. */
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import { CliError, type Io, exitCodes } from '../io.ts'
import { withExamples, withServer } from '../options.ts'
import { remark } from '../output.ts'

type Flags = ServerFlags & {
  since?: string
  until?: string
  epoch?: string
  from?: string
  to?: string
  file?: string
}

export function addExport(group: Command, io: Io): void {
  const command = group
    .command('export')
    .summary('write the log as JSON lines that verify offline')
    .description(
      'Every entry with its nonce, the tree that they stand in, and its signed head. The export is itself an entry of the log.',
    )
    .option('--since <time>', 'not before this time')
    .option('--until <time>', 'before this time')
    .option('--epoch <number>', 'this epoch alone')
    .option('--from <index>', 'the first index of the epoch')
    .option('--to <index>', 'the index after the last one')
    .option('-f, --file <file>', 'write here (0600) instead of to the standard output')
    .action(async ({ file, ...flags }: Flags) => {
      const { since, until, epoch, from, to } = flags
      await withApi(io, flags, async (api) => {
        const reply = await api.open('GET', '/api/v1/audit/export', { query: { since, until, epoch, from, to } })
        try {
          if (file === undefined) await pipeline(reply, io.stdout, { end: false })
          else await pipeline(reply, createWriteStream(file, { mode: 0o600 }))
        } catch (error) {
          const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
          throw new CliError(`the export is not whole (${code}): run it again`, exitCodes.unreachable)
        }
        remark(io, `this export is entry ${String(reply.headers['purser-log-index'])} of the log`)
      })
    })
  withExamples(
    withServer(command),
    'purser audit export -f log.jsonl',
    'purser audit export --since 2026-11-24T00:00:00Z | purser audit verify - --key "$PURSER_LOG_KEY"',
  )
}
