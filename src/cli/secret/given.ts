/** The value that a write is given: from standard input and files, as text that is exactly what was meant. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { isMembers } from '../../json/members.ts'
import { JsonError, parseStrict } from '../../json/strict.ts'
import type { Io } from '../io.ts'
import { again } from '../options.ts'
import { readText } from '../settings.ts'
import { usage } from './place.ts'

export type ValueFlags = { field?: string; file?: string; fileField?: string[]; newline?: true }

export const withValue = (command: Command): Command =>
  command
    .option('--file <file>', 'the value, a JSON object; without it and the next two, standard input')
    .option('--field <name>', 'one member, whose text is on standard input; its last line break is left off')
    .option('--newline', 'with --field: keep the last line break')
    .option('--file-field <name=file>', 'one member, whose text is the file; may be given several times', again)

/** @throws CliError, which never quotes what was read */
export async function readGiven(io: Io, flags: ValueFlags): Promise<Record<string, unknown>> {
  const { field, file, fileField = [], newline } = flags
  if (file !== undefined && (field !== undefined || fileField.length > 0)) {
    throw usage('give --file, or --field and --file-field, not both')
  }
  if (newline && field === undefined) throw usage('--newline goes with --field')
  if (field === undefined && fileField.length === 0) {
    if (file !== undefined && file !== '-') return objectOf(textFile(io, file, '--file'), '--file')
    if (io.stdin.isTTY) throw usage('the value is read from standard input: pipe it, or use `purser secret edit`')
    return objectOf(await textOfStdin(io), 'standard input')
  }
  const data: Record<string, unknown> = {}
  for (const one of fileField) {
    const at = one.indexOf('=')
    if (at < 1 || at === one.length - 1) throw usage('--file-field must be name=file, such as tls.key=server.key')
    add(data, one.slice(0, at), textFile(io, one.slice(at + 1), '--file-field'))
  }
  if (field !== undefined) {
    if (field.includes('=')) throw usage('--field takes a name alone: its text is read from standard input')
    const text = await (io.stdin.isTTY ? askHidden(io, `text of ${field}: `) : textOfStdin(io))
    add(data, field, newline ? text : text.replace(/\r?\n$/, ''))
  }
  return data
}

function add(data: Record<string, unknown>, name: string, text: string): void {
  if (name === '__proto__') throw usage('a member of this name is of no use')
  if (Object.hasOwn(data, name)) throw usage(`the member ${JSON.stringify(name)} is given twice`)
  data[name] = text
}

const noText = (where: string): Error =>
  usage(`${where} is not UTF-8 text: write such values as base64, in a member whose name says so`)

function textFile(io: Io, path: string, what: string): string {
  const text = readText(io, path, what)
  if (text.includes('\uFFFD')) throw noText(path)
  return text
}

async function textOfStdin(io: Io): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await buffer(io.stdin))
  } catch {
    throw noText('standard input')
  }
}

/** @throws CliError with the place of the fault, and nothing of the text */
export function objectOf(text: string, where: string): Record<string, unknown> {
  let value: unknown
  try {
    value = parseStrict(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const line = error.offset === undefined ? '' : `, line ${text.slice(0, error.offset).split('\n').length}`
    throw usage(`${where} is no JSON that can be kept (${error.code}${line}); a value is an object of members`)
  }
  if (!isMembers(value)) throw usage(`${where} must hold a JSON object: { "password": "…" }`)
  return value
}

/** A line from a terminal, which doesn't show it. */
async function askHidden(io: Io, prompt: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: io.stdin, output: nowhere, terminal: true })
  // Asked for only once the terminal shows nothing any more.
  io.stderr.write(prompt)
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve)
      lines.once('SIGINT', () => reject(usage('given up: nothing was written')))
      lines.once('close', () => reject(usage('nothing was given')))
    })
  } finally {
    lines.close()
    io.stderr.write('\n')
  }
}
