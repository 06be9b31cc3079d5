/** `purser approval`: requests that need a second operator. Commands that need one request it themselves (api.ts). */
import { type Command, Option } from 'commander'
import type { Schemas } from './api-types.ts'
import { confirmName } from './confirm.ts'
import type { Io } from './io.ts'
import { asYaml, minute, remark, show, table } from './output.ts'
import { type VerbFlags, addChange, addList, addVerb } from './verb.ts'

type Approval = Schemas['Approval']
type State = Schemas['ApprovalState']

const states: State[] = ['pending', 'approved', 'denied', 'withdrawn', 'used', 'expired']
const example = 'apr_0c2f6ab1d3e44f5a8b7c6d5e4f3a2b1c'
const path = '/api/v1/approvals/{id}'

const withId = (command: Command): Command => command.argument('<id>', 'the approval, apr_…')

export function addApproval(program: Command, io: Io): void {
  const group = program
    .command('approval')
    .summary('list, approve and deny requests that need a second operator')
    .description(
      'Some requests need a second operator, as the configuration of the server says. A command that needs an approval requests it, if it has --reason. Once another operator has approved it, run the same command again with --approval.',
    )
  addList(group, io, {
    summary: 'list your own requests, and those that you may approve, newest first',
    options: (command) => command.addOption(new Option('--state <state>', 'only those in this state').choices(states)),
    examples: ['purser approval list --state pending'],
    items: (api, { state }: VerbFlags & { state?: State }) => api.all('/api/v1/approvals', { query: { state } }),
    header: ['APPROVAL', 'STATE', 'OPERATOR', 'REQUEST', 'REASON', 'EXPIRES', 'BY'],
    row: ({ id, state, operator, request, reason, expiresAt, decidedBy = '' }) => [
      id,
      state,
      operator,
      `${request.method} ${request.path}`,
      reason,
      minute(expiresAt),
      decidedBy,
    ],
  })
  addVerb(group, io, {
    usage: 'get',
    summary: 'show an approval, with the exact request',
    options: withId,
    examples: [`purser approval get ${example}`],
    run: async (api, flags, id) => show(io, flags, (await api.call('GET', path, { path: { id } })).body, asYaml),
  })
  addVerb(group, io, {
    usage: 'approve',
    summary: 'approve a request of another operator',
    description: 'Shows the exact request, and asks for confirmation on a terminal.',
    options: (command) => withId(command).option('--yes', 'do not ask for confirmation'),
    reason: true,
    examples: [`purser approval approve ${example}`],
    run: async (api, { yes, reason, ...flags }: VerbFlags & { yes?: true }, id) => {
      if (!yes) {
        const { body: approval } = await api.call('GET', path, { path: { id } })
        for (const line of asYaml(whatIsApproved(approval)).trimEnd().split('\n')) remark(io, line)
        await confirmName(io, approval.action)
      }
      const { body, logIndex } = await api.call('POST', `${path}:approve`, { path: { id }, reason })
      show(io, flags, body, ({ operator }) => table([[`${id} of ${operator} approved`, `log ${logIndex}`]]))
    },
  })
  addChange(group, io, {
    usage: 'deny',
    summary: 'deny a request of another operator',
    options: withId,
    examples: [`purser approval deny ${example} --reason "not in this window"`],
    call: (api, { reason }, id) => api.call('POST', `${path}:deny`, { path: { id }, reason }),
    row: ({ id, operator }) => [`${id} of ${operator} denied`],
  })
  addChange(group, io, {
    usage: 'withdraw',
    summary: 'withdraw your own request',
    options: withId,
    examples: [`purser approval withdraw ${example}`],
    call: (api, { reason }, id) => api.call('POST', `${path}:withdraw`, { path: { id }, reason }),
    row: ({ id }) => [`${id} withdrawn`],
  })
}

const whatIsApproved = ({ operator, reason, action, request, expiresAt }: Approval) => ({
  operator,
  reason,
  action,
  request,
  expiresAt,
})
