/** `purser workload`: registration entries, which say who a workload is and what it may have. */
import type { Command } from 'commander'
import { addApply } from './apply.ts'
import { completeWorkload } from './configuration/complete.ts'
import type { Io } from './io.ts'
import { positive } from './options.ts'
import { asYaml, pairs, show } from './output.ts'
import { addDelete, addReplace } from './registered.ts'
import { type VerbFlags, addList, addVerb } from './verb.ts'
import { addWorkloadCreate, showWritten } from './workload-create.ts'

const workload = { noun: 'workload', path: '/api/v1/workloads/{name}' } as const

export function addWorkload(program: Command, io: Io): void {
  const group = program
    .command('workload')
    .summary('register workloads: how they are recognized, and what they may have')
  addWorkloadCreate(group, io)
  addReplace(group, io, workload, {
    summary: 'replace the definition of an entry',
    examples: ['purser workload replace web --file web.yaml --revision 3'],
  })
  addApply(group, io, { ...workload, complete: completeWorkload })
  addList(group, io, {
    summary: 'list workload entries',
    options: (command) =>
      command
        .option('--attestor <name>', 'only entries of this attestor')
        .option('--managed-by <source>', 'only entries managed by this source, such as git:shop'),
    examples: ['purser workload list', 'purser workload list --attestor prod-eu -o json'],
    items: (api, { attestor, managedBy }: VerbFlags & { attestor?: string; managedBy?: string }) =>
      api.all('/api/v1/workloads', { query: { attestor, managedBy } }),
    header: ['NAME', 'ATTESTOR', 'SPIFFE ID', 'MATCH', 'STATE', 'REV'],
    row: ({ name, attestor, spiffeId, match, disabled, revision }) => [
      name,
      attestor,
      spiffeId,
      pairs(match ?? {}),
      disabled ? 'disabled' : 'live',
      String(revision),
    ],
  })
  addVerb(group, io, {
    usage: 'get <name>',
    summary: 'show a workload entry, current or older',
    options: (command) => command.option('--revision <n>', 'show this revision', positive),
    examples: ['purser workload get web', 'purser workload get web --revision 3'],
    run: async (api, { revision, ...flags }: VerbFlags & { revision?: number }, name) => {
      const { body } = await api.call('GET', workload.path, { path: { name }, query: { revision } })
      show(io, flags, body, asYaml)
    },
  })
  addSwitch(group, io, 'disable', 'stop issuing to a workload, and refuse its sessions')
  addSwitch(group, io, 'enable', 'issue to a disabled workload again')
  addDelete(group, io, workload, {
    summary: 'delete an entry and end its sessions',
    examples: ['purser workload delete web --reason "retired"'],
  })
}

function addSwitch(group: Command, io: Io, verb: 'disable' | 'enable', summary: string): void {
  addVerb(group, io, {
    usage: `${verb} <name>`,
    summary,
    reason: true,
    examples: [`purser workload ${verb} web --reason "incident 42"`],
    run: async (api, { reason, ...flags }, name) => {
      const reply = await api.call('POST', `${workload.path}:${verb}`, { path: { name }, reason })
      showWritten(io, flags, reply, `${verb}d`)
    },
  })
}
