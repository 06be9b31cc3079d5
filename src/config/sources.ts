/**
 * From flags, environment, YAML file and defaults to the text of each setting, the first of these that has it.
 * A setting given twice in one place is a fault, and so is a name that nothing reads.
 */
import type { Fault } from './error.ts'
import { otherNames, settings } from './names.ts'
import { suggestion } from '../names/suggestion.ts'
import type { Setting } from './setting.ts'
import { readYaml } from './yaml.ts'

export type Sources = {
  /** The process environment. */
  env: Readonly<Record<string, string | undefined>>
  /** From the command line, by environment name: wins over the environment. */
  overrides?: Readonly<Record<string, string>>
  /** What a verb such as `dev` starts from, by environment name: everything wins over it. */
  defaults?: Readonly<Record<string, string>>
  /** Reads a text file, or throws. */
  readFile: (path: string) => string
}

/** The text of a setting and the name under which the operator gave it. */
export type Given = { name: string; text: string }

/** The same, without a text where what was given is a fault. */
export type Taken = { name: string; text?: string }

const rows: readonly Setting<unknown>[] = Object.values(settings)

/** Kubernetes puts such names into every pod beside a Service called `purser` (`enableServiceLinks`): not the operator's doing. */
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

/** @returns the texts by environment name; what is wrong is added to `faults` */
export function gather(sources: Sources, faults: Fault[]): Map<string, Taken> {
  const { env, overrides = {}, defaults = {}, readFile } = sources
  const known = environmentNames()
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || !/^PURSER_/i.test(name) || known.has(name) || isServiceLink(name, value)) continue
    const bare = name.replace(/^PURSER_/, '')
    faults.push({
      name,
      problem: `is not a setting${known.has(bare) ? `: did you mean ${bare}?` : suggestion(name, known)}`,
    })
  }

  const fromFile = (name: string, path: string): Given | undefined => {
    try {
      return { name, text: readFile(path).replace(/\r?\n$/, '') }
    } catch (error) {
      faults.push({ name, problem: `can't read ${JSON.stringify(path)}${codeOf(error)}` })
      return undefined
    }
  }
  /** One place's answer: undefined where it is silent, without `text` where what it says is a fault. */
  const pick = (row: Setting<unknown>, plain?: Given, path?: Given): Taken | undefined => {
    if (plain === undefined && path === undefined) return undefined
    const name = plain?.name ?? path?.name ?? row.env
    if (plain !== undefined && path !== undefined) {
      faults.push({ name, problem: `is given twice: leave out ${plain.name} or ${path.name}` })
      return { name }
    }
    const given = plain ?? (path && fromFile(path.name, path.text))
    if (given?.text === '' && row.list === undefined) {
      faults.push({ name, problem: 'is empty: give it a value or leave it out' })
      return { name }
    }
    return given ?? { name }
  }
  const named = (place: Readonly<Record<string, string | undefined>>, name: string): Given | undefined => {
    const text = place[name]
    return text === undefined ? undefined : { name, text }
  }

  const configPath = overrides['PURSER_CONFIG'] ?? env['PURSER_CONFIG']
  const yamlText = configPath === undefined ? undefined : fromFile('PURSER_CONFIG', configPath)?.text
  const yaml = yamlText === undefined ? new Map<string, Given>() : readYaml(configPath ?? '', yamlText, rows, faults)

  const texts = new Map<string, Taken>()
  for (const row of rows) {
    const ask = row.noFile === undefined
    const given =
      pick(row, named(overrides, row.env)) ??
      pick(row, named(env, row.env), ask ? named(env, `${row.env}_FILE`) : undefined) ??
      pick(row, yaml.get(row.yaml), ask ? yaml.get(`${row.yaml}File`) : undefined) ??
      pick(row, named(defaults, row.env))
    if (given !== undefined) texts.set(row.env, given)
  }
  return texts
}

/** `ENOENT` and its kind help; the rest of a message may quote what was read. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z_]+$/.test(code) ? ` (${code})` : ''
}
