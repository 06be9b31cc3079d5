/** `purser secret status`: the rotation of a secret, or all rotations in progress. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { show } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { withPath } from './place.ts'
import { consumerTable, formatRotation, rotationTable } from './rotation-reply.ts'

export function addStatus(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'status',
    summary: 'show the rotation of a secret, or all rotations in progress',
    options: (command) =>
      withPath(command, '[path]').option(
        '--prefix <prefix>',
        'without a path: only rotations of paths with this prefix',
      ),
    examples: [
      'purser secret status',
      'purser secret status prod/db/password',
      'purser secret status --prefix prod/ -o json',
    ],
    run: async (api, { prefix, ...flags }: VerbFlags & { prefix?: string }, path?: string) => {
      if (path === undefined) {
        const items = await api.all('/api/v1/rotations', { query: { prefix } })
        show(io, flags, { items }, () => (items.length === 0 ? 'no rotation is in progress\n' : rotationTable(items)))
        return
      }
      const place = { path: { path } }
      const consumers = await api.all('/api/v1/secrets/{path}:consumers', place)
      const { body } = await api.call('GET', '/api/v1/secrets/{path}:rotation', place)
      const waitedFor = consumers.filter(({ waitedFor }) => waitedFor)
      show(io, flags, { ...body, waitedFor }, () =>
        waitedFor.length === 0 ? formatRotation(body) : `${formatRotation(body)}\n${consumerTable(waitedFor)}`,
      )
    },
  })
}
