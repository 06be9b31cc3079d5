/** `purser secret status`: how the rotation of a secret stands, or which rotations have not ended. */
import type { Command } from 'commander'
import { type Api, type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { withExamples, withOutput, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretUrl } from './place.ts'
import {
  type Consumer,
  type Rotation,
  type SecretRotation,
  consumerTable,
  rotationTable,
  rotationWords,
} from './rotation-reply.ts'

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
      const url = secretUrl(path, refused, ':rotation')
      const found = await withApi(io, flags, async (api) => ({
        ...(await api.call<SecretRotation>('GET', url)).body,
        waitedFor: await waitedFor(api, path),
      }))
      show(io, flags, found, (view) =>
        view.waitedFor.length === 0 ? rotationWords(view) : `${rotationWords(view)}\n${consumerTable(view.waitedFor)}`,
      )
    })
  withExamples(
    withOutput(withServer(command)),
    'purser secret status',
    'purser secret status prod/db/password',
    'purser secret status --prefix prod/ -o json',
  )
}

const waitedFor = async (api: Api, path: string): Promise<Consumer[]> =>
  (await api.all<Consumer>(secretUrl(path, [], ':consumers'))).filter((consumer) => consumer.waitedFor)

async function every(io: Io, flags: Flags): Promise<void> {
  const items = await withApi(io, flags, (api) => api.all<Rotation>('/api/v1/rotations', { prefix: flags.prefix }))
  show(io, flags, { items }, () => (items.length === 0 ? 'no rotation is under way\n' : rotationTable(items)))
}
