/** Definitions in files: YAML (of which JSON is a part), one or several documents, from a file or from stdin. */
import { text } from 'node:stream/consumers'
import { parseAllDocuments } from 'yaml'
import { CliError, type Io, exitCodes } from './io.ts'
import { readText } from './settings.ts'

export type Definition = Record<string, unknown>

/** The text of a file, or of stdin for `-`. */
async function readInput(io: Pick<Io, 'stdin' | 'readFile'>, path: string): Promise<string> {
  return path === '-' ? text(io.stdin) : readText(io, path, '--file')
}

const isDefinition = (value: unknown): value is Definition =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** @throws CliError with line and column of what is wrong */
export async function readDefinitions(io: Pick<Io, 'stdin' | 'readFile'>, path: string): Promise<Definition[]> {
  const documents = parseAllDocuments(await readInput(io, path), { uniqueKeys: true })
  return [...documents].flatMap((document) => {
    const [fault] = document.errors
    if (fault) throw wrong(path, fault.message)
    const value: unknown = document.toJS({ maxAliasCount: 0 })
    if (value === null) return []
    if (!isDefinition(value)) throw wrong(path, 'each document must be one definition, an object')
    return [value]
  })
}

const serverFields = new Set(['id', 'revision', 'createdAt', 'warnings', 'lastUsedAt'])

/** Without what the server alone sets, so that what `get` prints is a definition. */
export const withoutServerFields = (definition: Definition): Definition =>
  Object.fromEntries(Object.entries(definition).filter(([name]) => !serverFields.has(name)))

/** The only definition of a file, under the name that the command line gives. */
export async function readDefinition(
  io: Pick<Io, 'stdin' | 'readFile'>,
  path: string,
  name: string,
): Promise<Definition> {
  const [one, second] = await readDefinitions(io, path)
  if (!one || second) throw wrong(path, 'must hold one definition')
  if (one.name !== undefined && one.name !== name)
    throw wrong(path, `is named ${JSON.stringify(one.name)}, not ${name}`)
  // An entry can't be created disabled, so `disabled: true` goes to the server, which refuses it.
  const { disabled, ...rest } = withoutServerFields(one)
  return { ...rest, ...(disabled === true && { disabled }), name }
}

const wrong = (path: string, why: string): CliError => new CliError(`${path}: ${why}`, exitCodes.usage)
