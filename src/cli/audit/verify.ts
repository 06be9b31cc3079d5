/** `purser audit verify`: verifies an export or a receipt offline, with @purser/sdk/verify alone. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { type Problem, VerifyError, linesOf, verifyExport } from '@purser/sdk/verify'
import type { Command } from 'commander'
import { CliError, type Io, exitCodes, usageError } from '../io.ts'
import { repeated, withExamples, withOutput } from '../options.ts'
import { type OutputFlags, createStyle, printable, show } from '../output.ts'
import { readText } from '../settings.ts'
import { type Progress, type ProgressFlags, createProgress, withProgress } from './progress.ts'
import { type Verdict, judgeReceipt } from './judge-receipt.ts'

type Flags = OutputFlags & ProgressFlags & { key?: string[]; checkpoint?: string[]; receipt?: string[] }
type Evidence = { vkeys: string[]; checkpoints: string[]; receipts: unknown[] }

export function addVerify(group: Command, io: Io): void {
  const command = group
    .command('verify')
    .summary('verify an export or a receipt, offline')
    .description(
      'Reports what is proved, what is wrong and where, and what cannot be excluded. Works offline: take the keys, checkpoints and receipts from a place that the operators of the server cannot change.',
    )
    .argument('<file>', 'an export, a receipt, or a reply with a receipt; - for stdin')
    .option('--key <vkey>', "the log's public key (PURSER_LOG_KEY); repeat for each epoch", repeated)
    .option('--checkpoint <file>', 'a signed head that you saved; may be repeated', repeated)
    .option('--receipt <file>', 'a receipt that you saved; may be repeated', repeated)
    .action(async (file: string, flags: Flags) => {
      const verdict = await judge(io, file, evidenceOf(io, flags), flags)
      show(io, flags, verdict, () => textOf(io, verdict))
      if (!verdict.ok) throw new CliError('verification failed', exitCodes.unverified)
    })
  withExamples(
    withOutput(withProgress(command)),
    'purser audit verify log.jsonl --key "$PURSER_LOG_KEY" --checkpoint last-week.note',
    'purser audit verify receipt.json --key "$PURSER_LOG_KEY"',
  )
}

function evidenceOf(io: Io, flags: Flags): Evidence {
  const vkeys = flags.key ?? (io.env.PURSER_LOG_KEY ? [io.env.PURSER_LOG_KEY] : [])
  if (vkeys.length === 0) {
    throw usageError("the log's public key is missing: give --key or set PURSER_LOG_KEY; /log/keys lists the keys")
  }
  return {
    vkeys,
    checkpoints: (flags.checkpoint ?? []).map((path) => readText(io, path, '--checkpoint')),
    receipts: (flags.receipt ?? []).map((path) => receiptIn(readText(io, path, '--receipt'))),
  }
}

async function judge(io: Io, file: string, evidence: Evidence, flags: ProgressFlags): Promise<Verdict> {
  const size = file === '-' ? undefined : (await stat(file).catch(() => undefined))?.size
  const progress = createProgress(io, flags, { verb: 'verified', totalBytes: size })
  const input = file === '-' ? io.stdin : createReadStream(file)
  const lines = linesOf(bytesOf(input, progress))
  try {
    const first = await lines.next()
    const text = first.done ? '' : first.value
    if (text.includes('"purserExport"')) {
      const report = await verifyExport(withFirst(text, lines), evidence)
      progress.end()
      return report
    }
    let rest = text
    for await (const line of lines) rest += `\n${line}`
    if (evidence.receipts.length > 0) throw usageError('--receipt needs an export: give the receipt as the file')
    return judgeReceipt(receiptIn(rest), evidence.vkeys, evidence.checkpoints)
  } catch (error) {
    // The library throws only for an invalid key.
    if (error instanceof VerifyError) throw usageError(`--key: ${error.message}`)
    if (error instanceof Error && 'syscall' in error) throw usageError(`can't read ${file}`)
    throw error
  }
}

/** A stream may already decode text; the verifier expects bytes. */
async function* bytesOf(stream: Readable, progress: Progress): AsyncGenerator<Buffer> {
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    progress.count(bytes)
    yield bytes
  }
}

async function* withFirst(first: string, rest: AsyncIterable<string>): AsyncGenerator<string> {
  yield first
  yield* rest
}

/** A receipt, alone or in a reply. Anything else is returned as it is, and the verifier refuses it. */
function receiptIn(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'receipt' in value ? value.receipt : value
  } catch {
    return text
  }
}

function textOf(io: Io, { ok, proved, notExcluded, problems, problemCount }: Verdict): string {
  const style = createStyle(io)
  const block = (title: string, items: readonly string[]): string =>
    items.length === 0 ? '' : `${title}\n${items.map((item) => `  ${printable(item)}\n`).join('')}`
  const more = problemCount > problems.length ? [`and ${problemCount - problems.length} more`] : []
  return [
    block('wrong:', [...problems.map(place), ...more]),
    block('proved:', proved),
    block('not excluded:', notExcluded),
    ok ? style('green', 'verified') : style('red', 'NOT VERIFIED'),
    '\n',
  ].join('')
}

function place({ epoch, index, to, code, detail }: Problem): string {
  const where = [
    ...(epoch === undefined ? [] : [`epoch ${epoch}`]),
    ...(index === undefined
      ? []
      : [to === undefined || to === index + 1 ? `entry ${index}` : `entries ${index} to ${to - 1}`]),
  ]
  return `${where.length > 0 ? `${where.join(', ')}: ` : ''}${code}: ${detail}`
}
