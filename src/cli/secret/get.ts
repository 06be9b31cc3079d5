/** `purser secret get`: a value, into a file or a pipe, and to a terminal only for whoever says so. */
import { basename, dirname } from 'node:path'
import type { Command } from 'commander'
import type { Schemas } from '../api-types.ts'
import { checkFolder, writeFiles } from '../files.ts'
import type { Io } from '../io.ts'
import { positive, withExamples, withOutput, withReason } from '../options.ts'
import { type OutputFlags, printable, remark } from '../output.ts'
import { type CallerFlags, asCaller, withCaller } from './caller.ts'
import { secretPath, usage, withPath } from './place.ts'

type Flags = CallerFlags &
  OutputFlags & { version?: number; field?: string; out?: string; reveal?: true; reason?: string }

export function addGet(group: Command, io: Io): void {
  const command = withPath(group.command('get').summary('read a value; the log says who did, and why'))
    .option('--version <n>', 'an older version', positive)
    .option('--field <name>', 'one member alone, as its text')
    .option('--out <file>', 'into a file of mode 0600, in place of standard output')
    .option('--reveal', 'show it on a terminal')
    .action((path: string, refused: string[], flags: Flags) => get(io, path, refused, flags))
  withExamples(
    withReason(withOutput(withCaller(command))),
    'purser secret get prod/db/password --field password --reveal --reason "incident 42"',
    'purser secret get prod/db/password --out db.json --reason "restore test"',
    'purser secret get prod/db/password --as-workload --field password | psql-with-password-on-stdin',
  )
}

async function get(io: Io, path: string, refused: readonly string[], flags: Flags): Promise<void> {
  const place = { path: { path: secretPath(path, refused) } }
  // Before anything is asked for: a read that nobody sees would still be in the log.
  const shown = flags.out === undefined && io.stdout.isTTY === true
  if (shown && !flags.reveal) {
    throw usage('a value is shown on a terminal only with --reveal and --reason; --out and a pipe take it unseen')
  }
  if (!flags.asWorkload && !flags.reason?.trim()) {
    throw usage('say why with --reason "…": it goes into the log, beside who read it')
  }
  if (flags.out !== undefined && basename(flags.out) === '') throw usage('--out must name a file')
  if (flags.out !== undefined) await checkFolder(dirname(flags.out), (words) => remark(io, words))
  await asCaller(io, flags, async (api, token) => {
    const { version, reason } = flags
    const { body } = await api.call('GET', '/api/v1/secrets/{path}', { ...place, query: { version }, reason, token })
    const text = textOf(body, flags)
    if (flags.out === undefined) {
      io.stdout.write(shown ? `${printableLines(text)}\n` : text)
      return
    }
    await writeFiles(dirname(flags.out), [{ name: basename(flags.out), text, what: 'value' }])
    remark(io, `version ${body.version} of ${body.path} written to ${flags.out}`)
  })
}

/** What a member's text may do to a terminal is left out, but its line breaks. */
const printableLines = (text: string): string => text.split('\n').map(printable).join('\n')

/** Alone, exactly as it is kept; as an object, JSON with a line break. */
function textOf(body: Schemas['SecretValue'], { field, output }: Flags): string {
  if (field === undefined) {
    const { path, version, data } = body
    return `${JSON.stringify(output === 'json' ? { ...body, path, version } : data, null, 2)}\n`
  }
  if (!Object.hasOwn(body.data, field)) {
    throw usage(`version ${body.version} has no member of that name; it has: ${Object.keys(body.data).join(', ')}`)
  }
  const value = body.data[field]
  if (output === 'json') return `${JSON.stringify(value)}\n`
  return typeof value === 'string' ? value : JSON.stringify(value)
}
