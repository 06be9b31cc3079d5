/** What `--secret` says: which secret, what of it, and how the command is given it. */
import { CliError, exitCodes } from '../io.ts'
import { isPowerful } from './child-env.ts'

export type Given = {
  path: string
  /** One member of its value; all of it unless named. */
  member?: string
  as: { kind: 'variable'; name: string } | { kind: 'variables'; prefix: string } | { kind: 'file'; name: string }
}

const wrong = (why: string): CliError => new CliError(`--secret: ${why}`, exitCodes.usage)

const isName = (text: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(text)
const asName = (text: string): string => text.toUpperCase().replace(/[^A-Z0-9]/g, '_')

/**
 * `path`, `path=NAME`, `path#member=NAME`, `path=file:name`, `path#member=file:name`.
 * @throws CliError that doesn't repeat what was given: a value may have gone astray
 */
function readGiven(text: string): Given {
  const at = text.indexOf('=')
  const [what, how] = at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
  const [path = '', member, ...more] = what.split('#')
  if (!/^[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/.test(path) || member === '' || more.length > 0)
    throw wrong(
      'give path, path=NAME, path#member=NAME or path=file:name; a path is lower-case segments between slashes',
    )
  const of = { path, ...(member !== undefined && { member }) }
  const prefix = asName(path.slice(path.lastIndexOf('/') + 1))
  if (how === undefined) {
    const name = member === undefined ? prefix : `${prefix}_${asName(member)}`
    if (!isName(name)) throw wrong(`${path} makes no name of a variable: say path=NAME`)
    if (member !== undefined && isPowerful(name))
      throw wrong(`${name} changes how programs run: say ${path}#member=${name} if that is meant, or another name`)
    return { ...of, as: member === undefined ? { kind: 'variables', prefix } : { kind: 'variable', name } }
  }
  if (how.startsWith('file:')) {
    const name = how.slice('file:'.length)
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(name)) throw wrong(`the file of ${path} needs a plain name`)
    return { ...of, as: { kind: 'file', name } }
  }
  if (!isName(how)) throw wrong(`${path} needs the name of a variable, or file: and the name of a file`)
  return { ...of, as: { kind: 'variable', name: how } }
}

/** @throws CliError where two would be given in one place */
export function readAll(all: readonly string[]): Given[] {
  const given = all.map(readGiven)
  const places = given.flatMap(({ as }) => (as.kind === 'variables' ? [] : [`${as.kind} ${as.name}`]))
  const twice = places.find((place, n) => places.indexOf(place) !== n)
  if (twice !== undefined) throw wrong(`two secrets are given as the ${twice}`)
  return given
}

type Data = Readonly<Record<string, unknown>>
export type Rendered = { env: Record<string, string>; files: { name: string; text: string; what: string }[] }

const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** The only member as it is, several as JSON. */
function wholeOf(data: Data): string {
  const values = Object.values(data)
  return values.length === 1 ? asText(values[0]) : JSON.stringify(data)
}

/** @throws CliError that names what is wrong, and no value */
export function render(given: readonly Given[], dataOf: (path: string) => Data): Rendered {
  const env: Record<string, string> = {}
  const files: Rendered['files'] = []
  function put(name: string, text: string, path: string): void {
    if (!isName(name))
      throw new CliError(`${path} has a member that makes no name of a variable: name it by #member=NAME`)
    if (text.includes('\0')) throw new CliError(`${path} can't be a variable, since it holds a zero byte: give a file`)
    if (Object.hasOwn(env, name)) throw new CliError(`${path}: the variable ${name} is given twice`)
    env[name] = text
  }
  for (const { path, member, as } of given) {
    const data = dataOf(path)
    if (member !== undefined && !Object.hasOwn(data, member))
      throw new CliError(`${path} has no member ${member} in its present version`)
    const text = member === undefined ? wholeOf(data) : asText(data[member])
    if (as.kind === 'file') files.push({ name: as.name, text, what: path })
    else if (as.kind === 'variable') put(as.name, text, path)
    else {
      for (const [name, value] of Object.entries(data)) {
        const variable = `${as.prefix}_${asName(name)}`
        if (isPowerful(variable))
          throw new CliError(
            `${path} has a member that would be the variable ${variable}, which changes how programs run: ` +
              `name the members that the command needs, as in --secret ${path}#member=NAME`,
          )
        put(variable, asText(value), path)
      }
    }
  }
  return { env, files }
}
