/** `purser workload apply`: entries as files say them, created or replaced where they differ. */
import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import { type Api, type ServerFlags, withApi } from './api.ts'
import { type Definition, readDefinitions } from './documents.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { list, reasonHeader, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'
import { type Workload, pathOf } from './workload-reply.ts'

type Flags = ServerFlags & OutputFlags & { file: string[]; reason?: string; dryRun?: boolean }
type Applied = { name: string; did: 'created' | 'replaced' | 'unchanged'; revision: number }

export function addWorkloadApply(group: Command, io: Io): void {
  const command = group
    .command('apply')
    .summary('make entries as files say them; those that differ are replaced')
    .requiredOption('-f, --file <file>', 'YAML or JSON, one or several documents; - is stdin', list)
    .option('--dry-run', 'say what would change, and change nothing')
    .action(async (flags: Flags) => {
      const definitions = (await Promise.all(flags.file.map((path) => readDefinitions(io, path)))).flat()
      const items: Applied[] = []
      await withApi(io, flags, async (api) => {
        // One after the other: where one is refused, the rest is left as it was, and what was done is shown.
        for (const definition of definitions) items.push(await applyOne(api, definition, flags, io))
      }).finally(() =>
        show(io, flags, { items }, () =>
          table(items.map((one) => [`workload ${one.name}`, words(one, flags), `revision ${one.revision}`])),
        ),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser workload apply -f workloads.yaml --reason "$(git rev-parse HEAD)"',
    'purser workload apply -f web.yaml,orders.yaml --dry-run',
  )
}

const words = ({ did }: Applied, { dryRun }: Flags): string => (dryRun && did !== 'unchanged' ? `would be ${did}` : did)

async function applyOne(api: Api, definition: Definition, flags: Flags, io: Io): Promise<Applied> {
  const { name } = definition
  if (typeof name !== 'string') throw new CliError('each definition needs a name', exitCodes.usage)
  const live = await find(api, name)
  if (live && isSame(definition, live)) return { name, did: 'unchanged', revision: live.revision }
  const did = live ? 'replaced' : 'created'
  if (flags.dryRun) return { name, did, revision: (live?.revision ?? 0) + 1 }
  const headers = { 'if-match': `"${live?.revision ?? 0}"`, ...reasonHeader(flags) }
  const { body } = await api.call<Workload>('PUT', pathOf(name), { body: definition, headers })
  for (const { code, detail } of body.warnings ?? []) remark(io, `warning: ${name}: ${code}: ${detail}`)
  return { name, did, revision: body.revision }
}

async function find(api: Api, name: string): Promise<Workload | undefined> {
  try {
    return (await api.call<Workload>('GET', pathOf(name))).body
  } catch (error) {
    if (error instanceof CliError && error.code === 'not_found') return undefined
    throw error
  }
}

/** What the server fills in, so that a definition that leaves it out is no difference. */
const filledIn = { grants: {}, requirePodBound: true, pinIdentity: false, wide: false }

function isSame(definition: Definition, live: Workload): boolean {
  const { id: _id, revision: _revision, disabled: _disabled, warnings: _warnings, ...rest } = live
  const { lastUsedAt: _used, ...kept }: Definition = rest
  return isDeepStrictEqual({ ...filledIn, ...definition }, kept)
}
