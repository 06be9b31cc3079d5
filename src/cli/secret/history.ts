/** `purser secret list` and `history`: secrets and their versions, without values. */
import type { Command } from 'commander'
import type { Schemas } from '../api-types.ts'
import type { Io } from '../io.ts'
import { withExamples, withOutput } from '../options.ts'
import { type OutputFlags, actorName, minute, show, table } from '../output.ts'
import { addVerb } from '../verb.ts'
import { type CallerFlags, asCaller, withCaller } from './caller.ts'
import { withPath } from './place.ts'

type State = Pick<Schemas['SecretVersion'], 'current' | 'expiresAt' | 'deletedAt' | 'retiredAt' | 'destroyedAt'>

/** The paths that the caller may list. */
export function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list secrets, without values')
    .argument('[prefix]', 'only paths with this prefix', '')
    .action(async (prefix: string, flags: CallerFlags & OutputFlags) => {
      const query = { prefix: prefix === '' ? undefined : prefix }
      const items = await asCaller(io, flags, (api, token) => api.all('/api/v1/secrets', { query, token }))
      const rows = items.map((secret) => [
        secret.path,
        String(secret.version),
        stateOf({ ...secret, current: true }),
        minute(secret.updatedAt),
      ])
      show(io, flags, { items }, () => table(rows, ['PATH', 'VERSION', 'STATE', 'CHANGED']))
    })
  withExamples(withOutput(withCaller(command)), 'purser secret list prod/', 'purser secret list --as-workload -o json')
}

export function addHistory(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'history',
    summary: 'list versions, newest first, without values',
    options: withPath,
    examples: ['purser secret history prod/db/password'],
    run: async (api, flags, path) => {
      const { body } = await api.call('GET', '/api/v1/secrets/{path}:versions', { path: { path } })
      const rows = body.items.map((version) => [
        String(version.version),
        stateOf(version),
        version.source,
        actorName(version.createdBy),
        minute(version.createdAt),
      ])
      show(io, flags, body, () => table(rows, ['VERSION', 'STATE', 'SOURCE', 'CREATED BY', 'CREATED']))
    },
  })
}

/** The most final state: a destroyed version may have been deleted before. */
function stateOf({ current, destroyedAt, deletedAt, retiredAt, expiresAt }: State): string {
  if (destroyedAt !== undefined) return `destroyed ${minute(destroyedAt)}`
  if (deletedAt !== undefined) return `deleted ${minute(deletedAt)}`
  if (retiredAt !== undefined) return `retired ${minute(retiredAt)}`
  const until = expiresAt === undefined ? '' : `, until ${minute(expiresAt)}`
  return `${current ? 'live' : 'kept'}${until}`
}
