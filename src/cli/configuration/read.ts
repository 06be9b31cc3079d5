/** Reads the documents of a configuration, checks each against the schema, and reports every fault with file and line. */
import { loadOpenApi } from '../../http/openapi.ts'
import { problemsOf } from '../../http/openapi-problems.ts'
import { isMembers } from '../../json/members.ts'
import { suggestion } from '../../names/suggestion.ts'
import type { Definition } from '../documents.ts'
import { type Io, usageError } from '../io.ts'
import { createCounter } from './counter.ts'
import { type SourceText, readSources } from './folder.ts'
import type { ObjectName } from './kinds.ts'
import { type DocumentKind, createChecks, documentKinds } from './schema.ts'
import { type YamlDocument, YamlFault, readYaml } from './yaml.ts'

/** An object as a file declares it. `place` is file and line. */
export type Declared = ObjectName & { spec: Definition; place: string }

/** A policy test. `root` is the folder that its files may be in, `path` its file. */
export type DeclaredTest = { name: string; spec: Definition; place: string; path: string; root: string }

export type Configuration = { objects: Declared[]; tests: DeclaredTest[] }

const maxFaults = 20
const defaultMaxObjects = 100_000

/** `owner` becomes the `managedBy` of every object. */
type Options = { owner?: string | undefined; maxObjects?: number }

/**
 * @throws CliError with every fault, up to 20
 */
export async function readConfiguration(
  io: Pick<Io, 'stdin' | 'stderr'>,
  paths: readonly string[],
  options: Options = {},
): Promise<Configuration> {
  const counter = createCounter(io, 'read')
  const reader = createReader(options, counter.count)
  for await (const source of readSources(io, paths)) reader.read(source)
  counter.end()
  return reader.end()
}

function createReader({ owner, maxObjects = defaultMaxObjects }: Options, onRead: () => void) {
  const checkOf = createChecks(loadOpenApi().written)
  const places = new Map<string, string>()
  const configuration: Configuration = { objects: [], tests: [] }
  const faults: string[] = []
  let count = 0

  function fail(fault: string): void {
    count++
    if (faults.length < maxFaults) faults.push(fault)
  }

  function read(source: SourceText): void {
    try {
      for (const document of readYaml(source.text)) {
        if (document.value !== null) readDocument(source, document)
        onRead()
      }
    } catch (error) {
      if (!(error instanceof YamlFault)) throw error
      // The rest of the file is not read: its structure is unknown.
      fail(`${source.path}:${error.line}: ${error.message}`)
    }
  }

  function readDocument({ path, root }: SourceText, { value, line, lineOf }: YamlDocument): void {
    const place = `${path}:${line}`
    const report = (pointer: string, words: string): void => fail(`${path}:${lineOf(pointer)}: ${pointer}: ${words}`)
    if (!isMembers(value)) return fail(`${place}: a document must be an object with kind, name and spec`)
    const kind = documentKinds.find((name) => name === value.kind)
    if (kind === undefined) return report('/kind', unknownKind(value.kind))
    const declared = owner === undefined || kind === 'policy-test' ? value : withOwner(value, owner)
    if (hasPassword(value)) return report('/spec/admin/password', 'a password is not for a file: give --password-file')
    const problems = problemsOf(checkOf(kind)(declared))
    for (const { pointer, detail } of problems) report(pointer, detail)
    if (problems.length > 0) return
    const { name, spec } = declared
    if (typeof name !== 'string' || !isMembers(spec)) return
    if (spec.managedBy !== owner && owner !== undefined && kind !== 'policy-test') {
      return report('/spec/managedBy', `is ${JSON.stringify(spec.managedBy)}, but --owner is ${owner}`)
    }
    const earlier = places.get(`${kind} ${name}`)
    if (earlier !== undefined) return fail(`${place}: ${kind} ${name} is defined already, at ${earlier}`)
    places.set(`${kind} ${name}`, place)
    add(kind, { name, spec, place }, { path, root })
  }

  function add(
    kind: DocumentKind,
    declared: { name: string; spec: Definition; place: string },
    file: { path: string; root: string },
  ): void {
    if (kind === 'policy-test') configuration.tests.push({ ...declared, ...file })
    else configuration.objects.push({ kind, ...declared })
    if (places.size > maxObjects) {
      throw usageError(`there are more than ${maxObjects} documents: apply the folders one by one`)
    }
  }

  return {
    read,
    end(): Configuration {
      if (count === 0) return configuration
      const more = count - faults.length
      throw usageError([...faults, ...(more > 0 ? [`and ${more} more`] : [])].join('\n'))
    },
  }
}

function unknownKind(kind: unknown): string {
  const advice = `give one of ${documentKinds.join(', ')}`
  if (typeof kind !== 'string') return `is missing: ${advice}`
  return `is not a kind${suggestion(kind, documentKinds) || `: ${advice}`}`
}

/** A definition that names another manager stays as it is, and is refused. */
function withOwner(value: Definition, owner: string): Definition {
  return isMembers(value.spec) ? { ...value, spec: { managedBy: owner, ...value.spec } } : value
}

const hasPassword = ({ kind, spec }: Definition): boolean =>
  kind === 'database' && isMembers(spec) && isMembers(spec.admin) && 'password' in spec.admin
