/** `apply`: creates what the files define, and replaces it where it differs. */
import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import { type Api, ifFound } from './api.ts'
import type { ReplyOf } from './api-types.ts'
import type { Complete } from './configuration/complete.ts'
import { type Definition, readDefinitions, withoutServerFields } from './documents.ts'
import { type Io, usageError } from './io.ts'
import { list } from './options.ts'
import { remark, show, table } from './output.ts'
import type { Registered } from './registered.ts'
import { type VerbFlags, addVerb } from './verb.ts'

type Flags = VerbFlags & { file: string[]; dryRun?: boolean }
type Applied = { name: string; did: 'created' | 'replaced' | 'unchanged'; revision: number }
type Live = ReplyOf<'GET', Registered['path']>

export type Applicable = Registered & { complete: Complete }

export function addApply(group: Command, io: Io, kind: Applicable): void {
  const { noun } = kind
  addVerb(group, io, {
    usage: 'apply',
    summary: `create or replace each ${noun} that the files define`,
    description: `Creates or replaces each ${noun} that the files define; an unchanged ${noun} stays as it is. The output of \`purser ${noun} get\` is a valid file: members that only the server sets (id, revision, createdAt, warnings) are ignored.`,
    options: (command) =>
      command
        .requiredOption('-f, --file <file>', 'YAML or JSON with one or several documents; - for stdin', list)
        .option('--dry-run', 'show what would change, and change nothing'),
    reason: true,
    examples: [
      `purser ${noun} apply -f ${noun}s.yaml --reason "$(git rev-parse HEAD)"`,
      `purser ${noun} apply -f ${noun}s.yaml --dry-run`,
    ],
    run: async (api, flags: Flags) => {
      const definitions = (await Promise.all(flags.file.map((path) => readDefinitions(io, path)))).flat()
      const items: Applied[] = []
      try {
        // In order: after a refusal the rest stays untouched, and the output lists what was applied.
        for (const definition of definitions) items.push(await applyDefinition(api, kind, definition, flags, io))
      } finally {
        show(io, flags, { items }, () =>
          table(items.map((item) => [`${noun} ${item.name}`, outcomeOf(item, flags), `revision ${item.revision}`])),
        )
      }
    },
  })
}

const outcomeOf = ({ did }: Applied, { dryRun }: Flags): string =>
  dryRun && did !== 'unchanged' ? `would be ${did}` : did

async function applyDefinition(
  api: Api,
  kind: Applicable,
  definition: Definition,
  flags: Flags,
  io: Io,
): Promise<Applied> {
  const { name } = definition
  if (typeof name !== 'string') throw usageError('a definition has no name: add "name"')
  const live = await ifFound(api.call('GET', kind.path, { path: { name } }))
  const body = writable(definition)
  checkSwitch(kind, definition, live)
  if (live && isDeepStrictEqual(kind.complete(body, { ...live }), writable(live))) {
    return { name, did: 'unchanged', revision: live.revision }
  }
  const did = live ? 'replaced' : 'created'
  if (flags.dryRun) return { name, did, revision: (live?.revision ?? 0) + 1 }
  const request = { path: { name }, definition: body, ifMatch: live?.revision ?? 0, reason: flags.reason }
  const { body: reply } = await api.call('PUT', kind.path, request)
  const warnings = 'warnings' in reply ? (reply.warnings ?? []) : []
  for (const { code, detail } of warnings) remark(io, `warning: ${name}: ${code}: ${detail}`)
  return { name, did, revision: reply.revision }
}

function writable(definition: Definition): Definition {
  const { disabled: _switch, ...rest } = withoutServerFields(definition)
  return rest
}

/** A write does not change `disabled`, so a file that sets it would be ignored silently. */
function checkSwitch({ noun }: Applicable, { name, disabled }: Definition, live: Live | undefined): void {
  if (disabled === undefined || disabled === (live && 'disabled' in live ? live.disabled : false)) return
  const verb = disabled === true ? 'disable' : 'enable'
  throw usageError(
    `${noun} ${String(name)}: apply does not change "disabled": remove it from the file, and use purser ${noun} ${verb} ${String(name)}`,
  )
}
