/** `purser secret get`: prints a value to a file or a pipe, and to a terminal only with --reveal. */
import { basename, dirname } from 'node:path'
import type { Command } from 'commander'
import type { Schemas } from '../api-types.ts'
import { checkFolder, writeFiles } from '../files.ts'
import { type Io, usageError } from '../io.ts'
import { positive, withExamples, withOutput, withReason } from '../options.ts'
import { type OutputFlags, asJson, asYaml, printable, remark } from '../output.ts'
import { type CallerFlags, asCaller, withCaller } from './caller.ts'
import { withPath } from './place.ts'

type Flags = CallerFlags &
  OutputFlags & { version?: number; field?: string; out?: string; reveal?: true; reason?: string }

export function addGet(group: Command, io: Io): void {
  const command = withPath(
    group.command('get').summary('read a value; the audit log records the reader and the reason'),
  )
    .option('--version <n>', 'read this version', positive)
    .option('--field <name>', 'only this member, as text')
    .option('--out <file>', 'write to a file with mode 0600 instead of stdout')
    .option('--reveal', 'allow the value on a terminal')
    .action((path: string, _refused: unknown, flags: Flags) => get(io, path, flags))
  withExamples(
    withReason(withOutput(withCaller(command))),
    'purser secret get prod/db/password --field password --reveal --reason "incident 42"',
    'purser secret get prod/db/password --out db.json --reason "restore test"',
    'purser secret get prod/db/password --as-workload --field password | psql-with-password-on-stdin',
  )
}

async function get(io: Io, path: string, flags: Flags): Promise<void> {
  // Checked before the read, which the log would record.
  const isOnTerminal = flags.out === undefined && io.stdout.isTTY === true
  if (isOnTerminal && !flags.reveal) {
    throw usageError('a value is not shown on a terminal: give --reveal and --reason, or use --out or a pipe')
  }
  if (!flags.asWorkload && !flags.reason?.trim()) {
    throw usageError('--reason is required: give --reason "…" for the audit log')
  }
  if (flags.out !== undefined && basename(flags.out) === '') throw usageError('--out must name a file')
  if (flags.out !== undefined) await checkFolder(dirname(flags.out), (words) => remark(io, words))
  await asCaller(io, flags, async (api, token) => {
    const { version, reason } = flags
    const request = { path: { path }, query: { version }, reason, token }
    const { body } = await api.call('GET', '/api/v1/secrets/{path}', request)
    const text = textOf(body, flags)
    if (flags.out === undefined) {
      io.stdout.write(isOnTerminal ? `${printableLines(text)}\n` : text)
      return
    }
    await writeFiles(dirname(flags.out), [{ name: basename(flags.out), text, what: 'value' }])
    remark(io, `version ${body.version} of ${body.path} written to ${flags.out}`)
  })
}

/** Escapes control characters, except line breaks. */
const printableLines = (text: string): string => text.split('\n').map(printable).join('\n')

/** One member exactly as it is stored; the whole value as JSON with a line break. */
function textOf(body: Schemas['SecretValue'], { field, output }: Flags): string {
  if (field === undefined) {
    const { path, version, data } = body
    if (output === 'yaml') return asYaml({ ...body, path, version })
    return asJson(output === 'json' ? { ...body, path, version } : data)
  }
  if (!Object.hasOwn(body.data, field)) {
    throw usageError(
      `version ${body.version} has no such member; its members are: ${Object.keys(body.data).join(', ')}`,
    )
  }
  const value = body.data[field]
  if (output === 'json') return `${JSON.stringify(value)}\n`
  if (output === 'yaml') return asYaml(value)
  return typeof value === 'string' ? value : JSON.stringify(value)
}
