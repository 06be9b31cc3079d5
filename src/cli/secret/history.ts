/** `purser secret history`: the versions of a secret, their authors and states. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import type { Io } from '../io.ts'
import { withExamples, withOutput, withServer } from '../options.ts'
import { type OutputFlags, actorName, show, table } from '../output.ts'
import { secretPath, withPath } from './place.ts'

type State = Pick<Schemas['SecretVersion'], 'current' | 'expiresAt' | 'deletedAt' | 'retiredAt' | 'destroyedAt'>

export const minute = (time: string): string => time.slice(0, 16).replace('T', ' ')

export function addHistory(group: Command, io: Io): void {
  const command = withPath(group.command('history').summary('list versions, newest first, without values')).action(
    async (path: string, refused: string[], flags: ServerFlags & OutputFlags) => {
      const place = { path: { path: secretPath(path, refused) } }
      const { body } = await withApi(io, flags, (api) => api.call('GET', '/api/v1/secrets/{path}:versions', place))
      show(io, flags, body, ({ items }) =>
        table(
          items.map((item) => [
            String(item.version),
            stateOf(item),
            item.source,
            actorName(item.createdBy),
            minute(item.createdAt),
          ]),
          ['VERSION', 'STATE', 'SOURCE', 'CREATED BY', 'CREATED'],
        ),
      )
    },
  )
  withExamples(withOutput(withServer(command)), 'purser secret history prod/db/password')
}

/** The most final state: a destroyed version may have been deleted before. */
export function stateOf({ current, destroyedAt, deletedAt, retiredAt, expiresAt }: State): string {
  if (destroyedAt !== undefined) return `destroyed ${minute(destroyedAt)}`
  if (deletedAt !== undefined) return `deleted ${minute(deletedAt)}`
  if (retiredAt !== undefined) return `retired ${minute(retiredAt)}`
  const until = expiresAt === undefined ? '' : `, until ${minute(expiresAt)}`
  return `${current ? 'live' : 'kept'}${until}`
}
