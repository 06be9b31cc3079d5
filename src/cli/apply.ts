/** `apply`: what operators configure by name, as files say it: created, or replaced where it differs. */
import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import { type Api, type ServerFlags, ifFound, withApi } from './api.ts'
import type { ReplyOf } from './api-types.ts'
import { type Definition, readDefinitions, withoutServerFields } from './documents.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { list, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'
import type { Registered } from './registered.ts'

type Flags = ServerFlags & OutputFlags & { file: string[]; reason?: string; dryRun?: boolean }
type Applied = { name: string; did: 'created' | 'replaced' | 'unchanged'; revision: number }
type Live = ReplyOf<'GET', Registered['path']>

export type Applicable = Registered & {
  /** What the server fills in, so that a definition that leaves it out is no difference. */
  defaults: Definition
}

export function addApply(group: Command, io: Io, kind: Applicable): void {
  const { noun } = kind
  const command = group
    .command('apply')
    .summary(`create or replace each ${noun} as files say; an equal one stays as it is`)
    .description(
      `Creates or replaces each ${noun} as files say. What \`purser ${noun} get\` prints is such a file: what the server alone sets (id, revision, createdAt, warnings) is ignored.`,
    )
    .requiredOption('-f, --file <file>', 'YAML or JSON, one or several documents; - is stdin', list)
    .option('--dry-run', 'say what would change, and change nothing')
    .action(async (flags: Flags) => {
      const definitions = (await Promise.all(flags.file.map((path) => readDefinitions(io, path)))).flat()
      const items: Applied[] = []
      await withApi(io, flags, async (api) => {
        // One after the other: where one is refused, the rest is left as it was, and what was done is shown.
        for (const definition of definitions) items.push(await applyDefinition(api, kind, definition, flags, io))
      }).finally(() =>
        show(io, flags, { items }, () =>
          table(items.map((item) => [`${noun} ${item.name}`, words(item, flags), `revision ${item.revision}`])),
        ),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    `purser ${noun} apply -f ${noun}s.yaml --reason "$(git rev-parse HEAD)"`,
    `purser ${noun} apply -f ${noun}s.yaml --dry-run`,
  )
}

const words = ({ did }: Applied, { dryRun }: Flags): string => (dryRun && did !== 'unchanged' ? `would be ${did}` : did)

async function applyDefinition(
  api: Api,
  kind: Applicable,
  definition: Definition,
  flags: Flags,
  io: Io,
): Promise<Applied> {
  const { name } = definition
  if (typeof name !== 'string') throw new CliError('each definition needs a name', exitCodes.usage)
  const live = await ifFound(api.call('GET', kind.path, { path: { name } }))
  const body = writable(definition)
  checkSwitch(kind, definition, live)
  if (live && isDeepStrictEqual({ ...kind.defaults, ...body }, writable(live))) {
    return { name, did: 'unchanged', revision: live.revision }
  }
  const did = live ? 'replaced' : 'created'
  if (flags.dryRun) return { name, did, revision: (live?.revision ?? 0) + 1 }
  const request = { path: { name }, definition: body, ifMatch: live?.revision ?? 0, reason: flags.reason }
  const { body: written } = await api.call('PUT', kind.path, request)
  const warnings = 'warnings' in written ? (written.warnings ?? []) : []
  for (const { code, detail } of warnings) remark(io, `warning: ${name}: ${code}: ${detail}`)
  return { name, did, revision: written.revision }
}

function writable(definition: Definition): Definition {
  const { disabled: _switch, ...rest } = withoutServerFields(definition)
  return rest
}

/** A write keeps the state of the switch, so a file that says otherwise would be ignored without a word. */
function checkSwitch({ noun }: Applicable, { name, disabled }: Definition, live: Live | undefined): void {
  if (disabled === undefined || disabled === (live && 'disabled' in live ? live.disabled : false)) return
  const verb = disabled === true ? 'disable' : 'enable'
  throw new CliError(
    `${noun} ${String(name)}: apply does not change "disabled": remove it from the file, and use purser ${noun} ${verb} ${String(name)}`,
    exitCodes.usage,
  )
}
