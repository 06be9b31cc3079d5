/** `purser export`: what the server has, as documents that `purser plan` and `purser apply` read. */
import { once } from 'node:events'
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { loadOpenApi } from '../../http/openapi.ts'
import type { Definition } from '../documents.ts'
import { type Io, usageError } from '../io.ts'
import { list } from '../options.ts'
import { show } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { type KindName, isOptional, kindNames } from './kinds.ts'
import { type Objects, openObjects } from './live.ts'
import { memberOrder } from './schema.ts'

type ExportFlags = VerbFlags & { kind?: string[]; owner?: string }
type Document = { kind: KindName; name: string; spec: Definition }

const schemaLine = '# yaml-language-server: $schema=purser.schema.json\n'

export function addExport(program: Command, io: Io): void {
  addVerb(program, io, {
    usage: 'export',
    summary: 'print what the server has as files for `purser plan`',
    description:
      'Prints attestors, databases, workloads and rotation policies as YAML, one document for each, and with --kind operator operators; neither passwords nor values of secrets. Whether a workload or operator is disabled is not part of it.',
    options: (command) =>
      command
        .option('--kind <kind>', `only this kind: ${kindNames.join(', ')}; may be repeated`, list)
        .option('--owner <source>', 'only objects with this managedBy'),
    examples: ['purser export > purser/all.yaml', 'purser export --kind workload --owner git:shop'],
    run: async (api, { kind, owner, ...flags }: ExportFlags) => {
      const documents = documentsOf(openObjects(api), checkKinds(kind), owner)
      if (flags.output === 'json') show(io, flags, { items: await collected(documents) }, () => '')
      else await writeYaml(io, documents)
    },
  })
}

async function* documentsOf(
  objects: Objects,
  kinds: readonly KindName[],
  owner: string | undefined,
): AsyncGenerator<Document> {
  for (const kind of kinds) {
    const order = memberOrder(loadOpenApi().written, kind)
    for await (const { name, spec } of objects[kind].list(owner)) yield { kind, name, spec: sorted(spec, order) }
  }
}

/** The server keeps no order of members. One that this version does not know is last. */
function sorted(spec: Definition, order: readonly string[]): Definition {
  const placeOf = (member: string): number => (order.includes(member) ? order.indexOf(member) : order.length)
  return Object.fromEntries(Object.entries(spec).toSorted(([a], [b]) => placeOf(a) - placeOf(b)))
}

/** One document after the other, as fast as they are taken. */
async function writeYaml({ stdout }: Io, documents: AsyncIterable<Document>): Promise<void> {
  let separator = schemaLine
  for await (const document of documents) {
    if (!stdout.write(`${separator}${stringify(document, { lineWidth: 0 })}`)) await once(stdout, 'drain')
    separator = '---\n'
  }
}

async function collected(documents: AsyncIterable<Document>): Promise<Document[]> {
  const items: Document[] = []
  for await (const document of documents) items.push(document)
  return items
}

function checkKinds(names: readonly string[] | undefined): readonly KindName[] {
  const unknown = names?.find((name) => !kindNames.some((kind) => kind === name))
  if (unknown !== undefined) {
    throw usageError(`--kind ${unknown} is not a kind: give one of ${kindNames.join(', ')}`)
  }
  return kindNames.filter((kind) => (names ? names.includes(kind) : !isOptional(kind)))
}
