/** `purser revocation`: lists and releases blocks. */
import type { Command } from 'commander'
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { show, table } from './output.ts'
import { addList, addVerb } from './verb.ts'

export function addRevocation(program: Command, io: Io): void {
  const group = program.command('revocation').summary('list and release the blocks that revocations set')
  addList(group, io, {
    summary: 'list the instances and SPIFFE IDs that are blocked from attesting',
    examples: ['purser revocation list'],
    items: (api) => api.all('/api/v1/revocations'),
    header: ['REVOCATION', 'BLOCKED', 'SINCE', 'CAUSE'],
    row: (block) => [block.id, subjectOf(block), block.since, block.reason ?? ''],
  })
  addVerb(group, io, {
    usage: 'release',
    summary: 'release a block, so that its instance or SPIFFE ID may attest again',
    options: (command) => command.argument('<id>', 'the revocation, rev_…'),
    reason: true,
    examples: ['purser revocation release rev_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "the image was rebuilt"'],
    run: async (api, flags, id) => {
      const request = { path: { id }, reason: flags.reason }
      const { body, logIndex } = await api.call('POST', '/api/v1/revocations/{id}:release', request)
      const rows = body.released.map((block) => [`released ${subjectOf(block)}`, `log ${logIndex}`])
      show(io, flags, body, () => table(rows))
    },
  })
}

const subjectOf = ({ kind, session, spiffeId = '' }: Schemas['ReleasedBlocks']['released'][number]): string =>
  kind === 'spiffeId' ? spiffeId : `instance of ${session ?? 'a session'} ${spiffeId}`.trimEnd()
