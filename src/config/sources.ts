/**
 * Reads the text of each setting from flags, environment, YAML file or defaults, in this order.
 * A setting that is set twice in one source is a fault, and so is an unknown name.
 */
import type { Fault } from './error.ts'
import { otherNames, settings } from './names.ts'
import { suggestion } from '../names/suggestion.ts'
import type { Setting, SettingText } from './setting.ts'
import { readYaml } from './yaml.ts'

export type Sources = {
  /** The process environment. */
  env: Readonly<Record<string, string | undefined>>
  /** Flags by environment name: override the environment. */
  overrides?: Readonly<Record<string, string>>
  /** Defaults of a verb such as `dev`, by environment name. */
  defaults?: Readonly<Record<string, string>>
  /** Reads a text file, or throws. */
  readFile: (path: string) => string
}

/** The same, without a text if it is a fault. */
type Chosen = { name: string; text?: string }

const rows: readonly Setting<unknown>[] = Object.values(settings)

/** Kubernetes sets such variables in every pod if there is a Service called `purser` (`enableServiceLinks`). */
function isServiceLink(name: string, value: string): boolean {
  if (/_SERVICE_PORT(?:_[A-Z0-9_]+)?$/.test(name)) return /^[0-9]{1,5}$/.test(value)
  if (name.endsWith('_SERVICE_HOST')) return /^[0-9a-f.:]+$/i.test(value)
  if (/_PORT_[0-9]+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR)$/.test(name)) return true
  return /_PORT(?:_[0-9]+_(?:TCP|UDP|SCTP))?$/.test(name) && /^(?:tcp|udp|sctp):\/\//.test(value)
}

function environmentNames(): Set<string> {
  const names = new Set(Object.keys(otherNames))
  for (const row of rows) names.add(row.env)
  for (const row of rows) if (row.noFile === undefined) names.add(`${row.env}_FILE`)
  for (const name of Object.keys(otherNames)) {
    if (!name.endsWith('_FILE') && name !== 'PURSER_CONFIG') names.add(`${name}_FILE`)
  }
  return names
}

/** @returns the texts by environment name; faults are added to `faults` */
export function gather(sources: Sources, faults: Fault[]): Map<string, Chosen> {
  const { env, overrides = {}, defaults = {}, readFile } = sources
  const names = environmentNames()
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || !/^PURSER_/i.test(name) || names.has(name) || isServiceLink(name, value)) continue
    const bare = name.replace(/^PURSER_/, '')
    faults.push({
      name,
      problem: `is not a setting${names.has(bare) ? `: did you mean ${bare}?` : suggestion(name, names)}`,
    })
  }

  const fromFile = (name: string, path: string): SettingText | undefined => {
    try {
      return { name, text: readFile(path).replace(/\r?\n$/, '') }
    } catch (error) {
      faults.push({ name, problem: `can't read ${JSON.stringify(path)}${codeOf(error)}` })
      return undefined
    }
  }
  /** The setting in one source: undefined if it is absent, without `text` if it is a fault. */
  const pick = (row: Setting<unknown>, plain?: SettingText, path?: SettingText): Chosen | undefined => {
    if (plain === undefined && path === undefined) return undefined
    const name = plain?.name ?? path?.name ?? row.env
    if (plain !== undefined && path !== undefined) {
      faults.push({ name, problem: `is set twice: leave out ${plain.name} or ${path.name}` })
      return { name }
    }
    const setting = plain ?? (path && fromFile(path.name, path.text))
    if (setting?.text === '' && row.list === undefined) {
      faults.push({ name, problem: 'is empty: set a value or leave it out' })
      return { name }
    }
    return setting ?? { name }
  }
  const read = (source: Readonly<Record<string, string | undefined>>, name: string): SettingText | undefined => {
    const text = source[name]
    return text === undefined ? undefined : { name, text }
  }

  const configPath = overrides['PURSER_CONFIG'] ?? env['PURSER_CONFIG']
  const yamlText = configPath === undefined ? undefined : fromFile('PURSER_CONFIG', configPath)?.text
  const yaml =
    yamlText === undefined ? new Map<string, SettingText>() : readYaml(configPath ?? '', yamlText, rows, faults)

  const texts = new Map<string, Chosen>()
  for (const row of rows) {
    const allowsFile = row.noFile === undefined
    const setting =
      pick(row, read(overrides, row.env)) ??
      pick(row, read(env, row.env), allowsFile ? read(env, `${row.env}_FILE`) : undefined) ??
      pick(row, yaml.get(row.yaml), allowsFile ? yaml.get(`${row.yaml}File`) : undefined) ??
      pick(row, read(defaults, row.env))
    if (setting !== undefined) texts.set(row.env, setting)
  }
  return texts
}

/** Codes such as `ENOENT` are shown; the rest of a message may quote the content. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z_]+$/.test(code) ? ` (${code})` : ''
}
