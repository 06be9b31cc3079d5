/** Options that several verbs share. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { outputFormats } from './output.ts'

/** api.ts reads the environment where an option is missing. */
export function withServer(command: Command): Command {
  return (
    command
      .option('--addr <url>', 'address of the server (PURSER_ADDR, default https://127.0.0.1:8443)')
      .option('--ca-file <file>', 'trust these roots (PURSER_CA_FILE)')
      .option('--ca-sha256 <fingerprint>', 'trust the root with this SHA-256 fingerprint (PURSER_CA_SHA256)')
      // Few requests need it: the help of `purser` names it once.
      .addOption(new Option('--approval <id>', 'the approval of a second operator, apr_…').hideHelp())
  )
}

export function withOutput(command: Command): Command {
  return command.addOption(new Option('-o, --output <format>', 'output format').choices(outputFormats).default('table'))
}

const reasonWords = 'reason for the audit log, up to 200 characters'

/** The log keeps the reason as the entry's `actor.note`. */
export const withReason = (command: Command): Command => command.option('--reason <text>', reasonWords, reason)

export const withRequiredReason = (command: Command): Command =>
  command.requiredOption('--reason <text>', reasonWords, reason)

function reason(text: string): string {
  if (text.length <= 200) return text
  throw new InvalidArgumentError('It must be at most 200 characters long.')
}

export const withExamples = (command: Command, ...lines: string[]): Command =>
  command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`)

/** Collects an option that may be repeated; values may hold commas. */
export const repeated = (value: string, before: string[] = []): string[] => [...before, value]

/** Collects an option that may be repeated or hold a list: `-x a -x b`, or `-x a,b`. */
export const list = (value: string, before: string[] = []): string[] => [...before, ...value.split(',').filter(Boolean)]

export type Facts = Record<string, string | string[]>

/** `--match k8s:ns=prod`. A key that is repeated matches any of its values. */
export function facts(value: string, before: Facts = {}): Facts {
  const at = value.indexOf('=')
  if (at < 1 || at === value.length - 1) throw new InvalidArgumentError('It must be key=value, such as k8s:ns=prod.')
  const [key, added] = [value.slice(0, at), value.slice(at + 1)]
  const old = before[key]
  return { ...before, [key]: old === undefined ? added : [...(Array.isArray(old) ? old : [old]), added] }
}

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `900`, `900s`, `15m`, `12h`, `30d` → seconds. */
export function seconds(value: string): number {
  const [, digits, unit = 's'] = /^([1-9]\d{0,8})([smhd])?$/.exec(value) ?? []
  const factor = units[unit]
  if (digits === undefined || factor === undefined) {
    throw new InvalidArgumentError('It must be seconds, or a number with s, m, h or d, such as 15m.')
  }
  return Number(digits) * factor
}

/** A time, or a duration before now, as RFC 3339 in UTC. */
export function pointInTime(value: string): string {
  if (/^\d+[smhd]$/.test(value)) {
    return new Date(Date.now() - seconds(value) * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
  }
  if (!Number.isNaN(Date.parse(value))) return value
  throw new InvalidArgumentError('It must be a time such as 2026-11-24T00:00:00Z, or a duration such as 30m, 1h or 7d.')
}

/** A whole number, 0 or more. */
export function whole(value: string): number {
  if (!/^(?:0|[1-9]\d{0,14})$/.test(value)) throw new InvalidArgumentError('It must be a whole number, 0 or more.')
  return Number(value)
}

/** A whole number, 1 or more. */
export function positive(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('It must be a whole number, 1 or more.')
  return Number(value)
}
