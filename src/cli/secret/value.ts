/** Reads the value of a write from stdin and files. Text is used exactly as it is. */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { isMembers } from '../../json/members.ts'
import { JsonError, parseStrict } from '../../json/strict.ts'
import { type Io, usageError } from '../io.ts'
import { repeated } from '../options.ts'
import { withPrompts } from '../prompts.ts'
import { readText } from '../settings.ts'

export type ValueFlags = { field?: string; file?: string; fileField?: string[]; newline?: true }

export const withValue = (command: Command): Command =>
  command
    .option('--file <file>', 'file with the value, a JSON object (default: stdin)')
    .option('--field <name>', 'read one member as text from stdin, without its final line break')
    .option('--newline', 'with --field: keep the final line break')
    .option('--file-field <name=file>', 'read one member as text from a file; may be repeated', repeated)

/** @throws CliError that never quotes the value */
export async function readValue(io: Io, flags: ValueFlags): Promise<Record<string, unknown>> {
  const { field, file, fileField = [], newline } = flags
  if (file !== undefined && (field !== undefined || fileField.length > 0)) {
    throw usageError('--file cannot be combined with --field or --file-field')
  }
  if (newline && field === undefined) throw usageError('--newline needs --field')
  if (field === undefined && fileField.length === 0) {
    if (file !== undefined && file !== '-') return objectOf(textFile(io, file, '--file'), '--file')
    if (io.stdin.isTTY) throw usageError('the value is read from stdin: pipe it in, or use `purser secret edit`')
    return objectOf(await textOfStdin(io), 'standard input')
  }
  const data: Record<string, unknown> = {}
  for (const option of fileField) {
    const at = option.indexOf('=')
    if (at < 1 || at === option.length - 1)
      throw usageError('--file-field must be name=file, such as tls.key=server.key')
    add(data, option.slice(0, at), textFile(io, option.slice(at + 1), '--file-field'))
  }
  if (field !== undefined) {
    if (field.includes('=')) throw usageError('--field takes only a name: the text is read from stdin')
    const text = await (io.stdin.isTTY
      ? withPrompts(io, (prompts) => prompts.hidden(`text of ${field}: `))
      : textOfStdin(io))
    add(data, field, newline ? text : text.replace(/\r?\n$/, ''))
  }
  return data
}

function add(data: Record<string, unknown>, name: string, text: string): void {
  if (name === '__proto__') throw usageError('the name __proto__ cannot be used')
  if (Object.hasOwn(data, name)) throw usageError(`the member ${JSON.stringify(name)} is given twice`)
  data[name] = text
}

const noText = (where: string): Error =>
  usageError(`${where} is not UTF-8 text: encode binary values, for example as base64`)

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

/** @throws CliError with the line of the fault, and nothing of the text */
export function objectOf(text: string, where: string): Record<string, unknown> {
  let value: unknown
  try {
    value = parseStrict(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const line = error.offset === undefined ? '' : `, line ${text.slice(0, error.offset).split('\n').length}`
    throw usageError(
      `${where} is not valid JSON (${error.code}${line}): a value is an object, such as { "password": "…" }`,
    )
  }
  if (!isMembers(value))
    throw usageError(`${where} is not a JSON object: a value is an object, such as { "password": "…" }`)
  return value
}
