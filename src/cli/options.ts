/** Options that several verbs share, each said once. */
import { type Command, InvalidArgumentError, Option } from 'commander'

/** What `--addr` and its kind leave to the environment is read in api.ts. */
export function withServer(command: Command): Command {
  return command
    .option('--addr <url>', "the server's address (PURSER_ADDR, default https://127.0.0.1:8443)")
    .option('--ca-file <file>', 'trust these roots (PURSER_CA_FILE)')
    .option('--ca-sha256 <fingerprint>', 'or trust the root with this fingerprint (PURSER_CA_SHA256)')
}

export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'for people or for programs').choices(['table', 'json']).default('table'),
  )
}

/** Why, for the log: the entry's `actor.note`. */
export const withReason = (command: Command): Command =>
  command.option('--reason <text>', 'why, for the audit log (up to 200 characters)')

export const withExamples = (command: Command, ...lines: string[]): Command =>
  command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`)

/** For options that may be given several times, whatever is in them. */
export const again = (value: string, before: string[] = []): string[] => [...before, value]

/** For options that may be given several times: `-x a -x b`, or `-x a,b`. */
export const list = (value: string, before: string[] = []): string[] => [...before, ...value.split(',').filter(Boolean)]

export type Facts = Record<string, string | string[]>

/** `--match k8s:ns=prod`; one key given twice is any of both values. */
export function facts(value: string, before: Facts = {}): Facts {
  const at = value.indexOf('=')
  if (at < 1 || at === value.length - 1) throw new InvalidArgumentError('It must be key=value, such as k8s:ns=prod.')
  const [key, one] = [value.slice(0, at), value.slice(at + 1)]
  const old = before[key]
  return { ...before, [key]: old === undefined ? one : [...(Array.isArray(old) ? old : [old]), one] }
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

/** A time, or a duration before now: as the server takes it, RFC 3339 in UTC. */
export function pointInTime(value: string): string {
  if (/^\d+[smhd]$/.test(value)) {
    return new Date(Date.now() - seconds(value) * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
  }
  if (!Number.isNaN(Date.parse(value))) return value
  throw new InvalidArgumentError('It must be a time such as 2026-11-24T00:00:00Z, or a duration such as 30m, 1h or 7d.')
}

/** A whole number from 0 on. */
export function whole(value: string): number {
  if (!/^(?:0|[1-9]\d{0,14})$/.test(value)) throw new InvalidArgumentError('It must be a whole number from 0 on.')
  return Number(value)
}

/** A whole number from 1 on. */
export function positive(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('It must be a whole number from 1 on.')
  return Number(value)
}
