/** `purser workload`: registration entries, which say who a workload is and what it may have. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { type ServerFlags, withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import { addApply } from './apply.ts'
import type { Io } from './io.ts'
import { positive, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, pairs, show, table } from './output.ts'
import { addDelete } from './registered.ts'
import { addWorkloadCreate } from './workload-create.ts'
import { showWritten } from './workload-reply.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

const workload = { noun: 'workload', path: '/api/v1/workloads/{name}' } as const

export function addWorkload(program: Command, io: Io): void {
  const group = program
    .command('workload')
    .summary('register workloads: how they are recognized, and what they may have')
  addWorkloadCreate(group, io)
  addApply(group, io, { ...workload, defaults })
  addList(group, io)
  addGet(group, io)
  addSwitch(group, io, 'disable', 'stop issuing to a workload, and refuse its sessions')
  addSwitch(group, io, 'enable', 'issue to a disabled workload again')
  addDelete(group, io, workload, {
    summary: 'delete an entry and end its sessions',
    example: 'purser workload delete web --reason "retired"',
  })
}

/** Defaults of the server. */
const defaults = { grants: {}, requirePodBound: true, pinIdentity: false, wide: false }

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list workload entries')
    .option('--attestor <name>', 'only entries of this attestor')
    .option('--managed-by <source>', 'only entries managed by this source, such as git:shop')
    .action(async (flags: Flags & { attestor?: string; managedBy?: string }) => {
      const { attestor, managedBy } = flags
      const items = await withApi(io, flags, (api) => api.all('/api/v1/workloads', { query: { attestor, managedBy } }))
      show(io, flags, { items }, () =>
        table(items.map(rowOf), ['NAME', 'ATTESTOR', 'SPIFFE ID', 'MATCH', 'STATE', 'REV']),
      )
    })
  withExamples(
    withOutput(withServer(command)),
    'purser workload list',
    'purser workload list --attestor prod-eu -o json',
  )
}

const rowOf = ({ name, attestor, spiffeId, match, disabled, revision }: Schemas['Workload']): string[] => [
  name,
  attestor,
  spiffeId,
  pairs(match ?? {}),
  disabled ? 'disabled' : 'live',
  String(revision),
]

function addGet(group: Command, io: Io): void {
  const command = group
    .command('get')
    .summary('show a workload entry, current or older')
    .argument('<name>')
    .option('--revision <n>', 'show this revision', positive)
    .action(async (name: string, flags: Flags & { revision?: number }) => {
      const { revision } = flags
      const { body } = await withApi(io, flags, (api) =>
        api.call('GET', workload.path, { path: { name }, query: { revision } }),
      )
      show(io, flags, body, (value) => stringify(value, { lineWidth: 0 }))
    })
  withExamples(withOutput(withServer(command)), 'purser workload get web', 'purser workload get web --revision 3')
}

function addSwitch(group: Command, io: Io, verb: 'disable' | 'enable', summary: string): void {
  const command = group
    .command(verb)
    .summary(summary)
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      const { reason } = flags
      const reply = await withApi(io, flags, (api) =>
        api.call('POST', `${workload.path}:${verb}`, { path: { name }, reason }),
      )
      showWritten(io, flags, reply, `${verb}d`)
    })
  withExamples(withReason(withOutput(withServer(command))), `purser workload ${verb} web --reason "incident 42"`)
}
