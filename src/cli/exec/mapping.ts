/** The option `--secret`: maps a secret, or one member, to variables or files. */
import { CliError, usageError } from '../io.ts'
import { isPowerful } from './child-env.ts'

export type Mapping = {
  path: string
  /** One member of its value (default: the whole value). */
  member?: string
  as: { kind: 'variable'; name: string } | { kind: 'variables'; prefix: string } | { kind: 'file'; name: string }
}

const invalid = (why: string): CliError => usageError(`--secret: ${why}`)

const isName = (text: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(text)
const asName = (text: string): string => text.toUpperCase().replace(/[^A-Z0-9]/g, '_')

/**
 * `path`, `path=NAME`, `path#member=NAME`, `path=file:name`, `path#member=file:name`.
 * @throws CliError that does not quote the option: it may hold a value by mistake
 */
function readMapping(text: string): Mapping {
  const at = text.indexOf('=')
  const [source, target] = at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
  const [path = '', member, ...more] = source.split('#')
  if (!/^[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/.test(path) || member === '' || more.length > 0)
    throw invalid('not a valid mapping: give path, path=NAME, path#member=NAME or path=file:name')
  const secret = { path, ...(member !== undefined && { member }) }
  const prefix = asName(path.slice(path.lastIndexOf('/') + 1))
  if (target === undefined) {
    const name = member === undefined ? prefix : `${prefix}_${asName(member)}`
    if (!isName(name)) throw invalid(`${path} cannot be the name of a variable: give ${path}=NAME`)
    if (member !== undefined && isPowerful(name))
      throw invalid(`${name} changes how programs run: give ${path}#member=${name} to set it anyway, or another name`)
    return { ...secret, as: member === undefined ? { kind: 'variables', prefix } : { kind: 'variable', name } }
  }
  if (target.startsWith('file:')) {
    const name = target.slice('file:'.length)
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(name))
      throw invalid(`the file name of ${path} is invalid: use letters, digits, dots and hyphens`)
    return { ...secret, as: { kind: 'file', name } }
  }
  if (!isName(target)) throw invalid(`the target of ${path} is invalid: give the name of a variable, or file:name`)
  return { ...secret, as: { kind: 'variable', name: target } }
}

/** @throws CliError when two secrets have the same target */
export function readMappings(options: readonly string[]): Mapping[] {
  const mappings = options.map(readMapping)
  const targets = mappings.flatMap(({ as }) => (as.kind === 'variables' ? [] : [`${as.kind} ${as.name}`]))
  const duplicate = targets.find((target, n) => targets.indexOf(target) !== n)
  if (duplicate !== undefined) throw invalid(`two secrets have the same target, ${duplicate}`)
  return mappings
}

type Data = Readonly<Record<string, unknown>>
export type Rendered = { env: Record<string, string>; files: { name: string; text: string; what: string }[] }

const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** A single member as text, several as JSON. */
function wholeOf(data: Data): string {
  const values = Object.values(data)
  return values.length === 1 ? asText(values[0]) : JSON.stringify(data)
}

/** @throws CliError that quotes no value */
export function render(mappings: readonly Mapping[], dataOf: (path: string) => Data): Rendered {
  const env: Record<string, string> = {}
  const files: Rendered['files'] = []
  function put(name: string, text: string, path: string): void {
    if (!isName(name))
      throw new CliError(`${path} has a member that cannot be the name of a variable: give ${path}#member=NAME`)
    if (text.includes('\0')) throw new CliError(`${path} holds a zero byte, so it cannot be a variable: use a file`)
    if (Object.hasOwn(env, name)) throw new CliError(`${path}: the variable ${name} is set twice`)
    env[name] = text
  }
  for (const { path, member, as } of mappings) {
    const data = dataOf(path)
    if (member !== undefined && !Object.hasOwn(data, member))
      throw new CliError(`${path} has no member ${member} in its live version`)
    const text = member === undefined ? wholeOf(data) : asText(data[member])
    if (as.kind === 'file') files.push({ name: as.name, text, what: path })
    else if (as.kind === 'variable') put(as.name, text, path)
    else {
      for (const [name, value] of Object.entries(data)) {
        const variable = `${as.prefix}_${asName(name)}`
        if (isPowerful(variable))
          throw new CliError(
            `${path} has a member for the variable ${variable}, which changes how programs run: ` +
              `name the members that the command needs, as in --secret ${path}#member=NAME`,
          )
        put(variable, asText(value), path)
      }
    }
  }
  return { env, files }
}
