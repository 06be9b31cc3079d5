/** `purser secret status`: how the rotation of a secret stands, or which rotations have not ended. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { withExamples, withOutput, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretPath } from './place.ts'
import { consumerTable, rotationTable, rotationWords } from './rotation-reply.ts'

type Flags = ServerFlags & OutputFlags & { prefix?: string }

export function addStatus(group: Command, io: Io): void {
  const command = group
    .command('status')
    .summary('how a rotation stands and whom it waits for; without a path, every one that has not ended')
    .argument('[path]', 'such as prod/db/password')
    .argument('[refused...]')
    .usage('[options] [path]')
    .configureHelp({ visibleArguments: (command) => [...command.registeredArguments].slice(0, 1) })
    .option('--prefix <prefix>', 'without a path: of paths that begin with it')
    .action(async (path: string | undefined, refused: string[], flags: Flags) => {
      if (path === undefined) return every(io, flags)
      const place = { path: { path: secretPath(path, refused) } }
      const status = await withApi(io, flags, async (api) => ({
        ...(await api.call('GET', '/api/v1/secrets/{path}:rotation', place)).body,
        waitedFor: (await api.all('/api/v1/secrets/{path}:consumers', place)).filter(({ waitedFor }) => waitedFor),
      }))
      show(io, flags, status, ({ waitedFor }) =>
        waitedFor.length === 0 ? rotationWords(status) : `${rotationWords(status)}\n${consumerTable(waitedFor)}`,
      )
    })
  withExamples(
    withOutput(withServer(command)),
    'purser secret status',
    'purser secret status prod/db/password',
    'purser secret status --prefix prod/ -o json',
  )
}

async function every(io: Io, flags: Flags): Promise<void> {
  const items = await withApi(io, flags, (api) => api.all('/api/v1/rotations', { query: { prefix: flags.prefix } }))
  show(io, flags, { items }, () => (items.length === 0 ? 'no rotation is under way\n' : rotationTable(items)))
}
