/** `purser secret status`: the rotation of a secret, or all rotations in progress. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { withExamples, withOutput, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretPath } from './place.ts'
import { consumerTable, rotationTable, formatRotation } from './rotation-reply.ts'

type Flags = ServerFlags & OutputFlags & { prefix?: string }

export function addStatus(group: Command, io: Io): void {
  const command = group
    .command('status')
    .summary('show the rotation of a secret, or all rotations in progress')
    .argument('[path]', 'path of the secret, such as prod/db/password')
    .argument('[refused...]')
    .usage('[options] [path]')
    .option('--prefix <prefix>', 'without a path: only rotations of paths with this prefix')
    .action(async (path: string | undefined, refused: string[], flags: Flags) => {
      if (path === undefined) return showAll(io, flags)
      const place = { path: { path: secretPath(path, refused) } }
      const status = await withApi(io, flags, async (api) => ({
        ...(await api.call('GET', '/api/v1/secrets/{path}:rotation', place)).body,
        waitedFor: (await api.all('/api/v1/secrets/{path}:consumers', place)).filter(({ waitedFor }) => waitedFor),
      }))
      show(io, flags, status, ({ waitedFor }) =>
        waitedFor.length === 0 ? formatRotation(status) : `${formatRotation(status)}\n${consumerTable(waitedFor)}`,
      )
    })
  withExamples(
    withOutput(withServer(command)),
    'purser secret status',
    'purser secret status prod/db/password',
    'purser secret status --prefix prod/ -o json',
  )
}

async function showAll(io: Io, flags: Flags): Promise<void> {
  const items = await withApi(io, flags, (api) => api.all('/api/v1/rotations', { query: { prefix: flags.prefix } }))
  show(io, flags, { items }, () => (items.length === 0 ? 'no rotation is in progress\n' : rotationTable(items)))
}
