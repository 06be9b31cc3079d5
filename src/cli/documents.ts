/** Definitions in YAML or JSON, one or several documents, from a file or stdin. */
import { isMembers } from '../json/members.ts'
import { YamlFault, readYaml } from './configuration/yaml.ts'
import { CliError, type Io, usageError } from './io.ts'
import { readInput } from './settings.ts'

export type Definition = Record<string, unknown>

/** @throws CliError with the line */
export async function readDefinitions(io: Pick<Io, 'stdin' | 'readFile'>, path: string): Promise<Definition[]> {
  const text = await readInput(io, path, '--file')
  try {
    return [...readYaml(text)].flatMap(({ value }) => {
      if (value === null) return []
      if (!isMembers(value)) throw wrong(path, 'each document must be an object with one definition')
      return [value]
    })
  } catch (error) {
    throw error instanceof YamlFault ? wrong(path, `line ${error.line}: ${error.message}`) : error
  }
}

const serverFields = new Set([
  'id',
  'revision',
  'createdAt',
  'updatedAt',
  'warnings',
  'lastUsedAt',
  'passwordAt',
  'secondFactorAt',
  'passkeys',
])

/** Removes the members that only the server sets, so that the output of `get` is a definition. */
export const withoutServerFields = (definition: Definition): Definition =>
  Object.fromEntries(Object.entries(definition).filter(([name]) => !serverFields.has(name)))

/** The one definition in a file, under the name on the command line. */
export async function readDefinition(
  io: Pick<Io, 'stdin' | 'readFile'>,
  path: string,
  name: string,
): Promise<Definition> {
  const [definition, second] = await readDefinitions(io, path)
  if (!definition || second) throw wrong(path, 'must hold exactly one definition')
  if (definition.name !== undefined && definition.name !== name)
    throw wrong(path, `is named ${JSON.stringify(definition.name)}, not ${name}`)
  // The server refuses `disabled: true`: an entry cannot be created disabled.
  const { disabled, ...rest } = withoutServerFields(definition)
  return { ...rest, ...(disabled === true && { disabled }), name }
}

const wrong = (path: string, why: string): CliError => usageError(`${path}: ${why}`)
