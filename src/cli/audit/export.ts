/** `purser audit export`: streams the log as JSON lines. */
import { writeFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import { CliError, type Io, exitCodes, codeOf } from '../io.ts'
import { pointInTime, positive, whole, withExamples, withReason, withServer } from '../options.ts'
import { remark } from '../output.ts'
import { type Progress, type ProgressFlags, createProgress, withProgress } from './progress.ts'
import { writeWholeFile } from './whole-file.ts'

type Flags = ServerFlags &
  ProgressFlags & {
    since?: string
    until?: string
    epoch?: number
    from?: number
    to?: number
    file?: string
    force?: true
    reason?: string
  }

async function* counted(chunks: AsyncIterable<Buffer>, progress: Progress): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    progress.count(chunk)
    yield chunk
  }
}

export function addExport(group: Command, io: Io): void {
  const command = group
    .command('export')
    .summary('export the log as JSON lines that verify offline')
    .description(
      'Exports every entry with its nonce, the Merkle tree, and the signed head. The export is itself recorded in the log.',
    )
    .option('--since <time>', 'only entries since this time: a time, or a duration before now such as 1h', pointInTime)
    .option('--until <time>', 'only entries before this time', pointInTime)
    .option('--epoch <number>', 'only this epoch', positive)
    .option('--from <index>', 'first index in the epoch', whole)
    .option('--to <index>', 'index after the last one', whole)
    .option('-f, --file <file>', 'write to a new file with mode 0600 instead of stdout')
    .option('--force', 'overwrite the file')
    .action(async ({ file, force, ...flags }: Flags) => {
      const { since, until, epoch, from, to, reason } = flags
      await withApi(io, flags, async (api) => {
        const transfer = async (write: (chunks: AsyncIterable<Buffer>) => Promise<void>): Promise<string> => {
          const reply = await api.open('/api/v1/audit/export', {
            query: { since, until, epoch, from, to },
            reason,
          })
          const progress = createProgress(io, flags, { verb: 'exported' })
          try {
            await write(counted(reply, progress))
            progress.end()
          } catch (error) {
            throw new CliError(
              `the export is incomplete (${codeOf(error) ?? 'unknown'}): run it again`,
              exitCodes.unreachable,
            )
          }
          return String(reply.headers['purser-log-index'])
        }
        const index = await (file === undefined
          ? transfer((chunks) => pipeline(chunks, io.stdout, { end: false }))
          : writeWholeFile(file, { force }, (handle) => transfer((chunks) => writeFile(handle, chunks))))
        remark(io, `the log records this export as entry ${index}`)
      })
    })
  withExamples(
    withReason(withServer(withProgress(command))),
    'purser audit export -f log.jsonl',
    'purser audit export --since 2026-11-24T00:00:00Z | purser audit verify - --key "$PURSER_LOG_KEY"',
  )
}
