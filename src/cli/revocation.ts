/** `purser revocation`: the blocks in force, and their release. */
import type { Command } from 'commander'
import { type ServerFlags, segment, withApi } from './api.ts'
import type { Io } from './io.ts'
import { reasonHeader, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }
type Block = {
  id: string
  kind: 'instance' | 'spiffeId'
  session?: string
  spiffeId?: string
  since: string
  reason?: string
}
type Released = { id: string; released: Pick<Block, 'kind' | 'session' | 'spiffeId'>[] }

export function addRevocation(program: Command, io: Io): void {
  const group = program.command('revocation').summary('list and release the blocks that revocations left')
  addList(group, io)
  addRelease(group, io)
}

const blocked = ({ kind, session, spiffeId = '' }: Pick<Block, 'kind' | 'session' | 'spiffeId'>): string =>
  kind === 'spiffeId' ? spiffeId : `instance of ${session ?? 'a session'} ${spiffeId}`.trimEnd()

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list the instances and SPIFFE IDs that are refused until released')
    .action(async (flags: Flags) => {
      const items = await withApi(io, flags, (api) => api.all<Block>('/api/v1/revocations'))
      const rows = items.map((block) => [block.id, blocked(block), block.since, block.reason ?? ''])
      show(io, flags, { items }, () => table(rows, ['REVOCATION', 'BLOCKED', 'SINCE', 'CAUSE']))
    })
  withExamples(withOutput(withServer(command)), 'purser revocation list')
}

function addRelease(group: Command, io: Io): void {
  const command = group
    .command('release')
    .summary('release a block: its instance or SPIFFE ID may attest again')
    .argument('<id>', 'the revocation, rev_…')
    .action(async (id: string, flags: Flags) => {
      const path = `/api/v1/revocations/${segment(id)}:release`
      const { body, headers } = await withApi(io, flags, (api) =>
        api.call<Released>('POST', path, { headers: reasonHeader(flags) }),
      )
      const index = `log ${String(headers['purser-log-index'])}`
      show(io, flags, body, ({ released }) => table(released.map((block) => [`released ${blocked(block)}`, index])))
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser revocation release rev_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "the image was rebuilt"',
  )
}
