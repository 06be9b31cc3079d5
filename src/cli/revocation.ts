/** `purser revocation`: lists and releases blocks. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }
export function addRevocation(program: Command, io: Io): void {
  const group = program.command('revocation').summary('list and release the blocks that revocations set')
  addList(group, io)
  addRelease(group, io)
}

const blocked = ({ kind, session, spiffeId = '' }: Schemas['ReleasedBlocks']['released'][number]): string =>
  kind === 'spiffeId' ? spiffeId : `instance of ${session ?? 'a session'} ${spiffeId}`.trimEnd()

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list the instances and SPIFFE IDs that are blocked from attesting')
    .action(async (flags: Flags) => {
      const items = await withApi(io, flags, (api) => api.all('/api/v1/revocations'))
      const rows = items.map((block) => [block.id, blocked(block), block.since, block.reason ?? ''])
      show(io, flags, { items }, () => table(rows, ['REVOCATION', 'BLOCKED', 'SINCE', 'CAUSE']))
    })
  withExamples(withOutput(withServer(command)), 'purser revocation list')
}

function addRelease(group: Command, io: Io): void {
  const command = group
    .command('release')
    .summary('release a block, so that its instance or SPIFFE ID may attest again')
    .argument('<id>', 'the revocation, rev_…')
    .action(async (id: string, flags: Flags) => {
      const { reason } = flags
      const { body, logIndex } = await withApi(io, flags, (api) =>
        api.call('POST', '/api/v1/revocations/{id}:release', { path: { id }, reason }),
      )
      const rows = body.released.map((block) => [`released ${blocked(block)}`, `log ${logIndex}`])
      show(io, flags, body, () => table(rows))
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser revocation release rev_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "the image was rebuilt"',
  )
}
