/** `purser operator`: the people and automations that API tokens belong to. */
import { type Command, Option } from 'commander'
import { addApply } from './apply.ts'
import { completeOperator } from './configuration/complete.ts'
import type { Schemas } from './api-types.ts'
import { type BoundFlags, addBoundOptions, boundIn, shortBound } from './bound-options.ts'
import type { Io } from './io.ts'
import { addPassword, addRecover } from './operator-password.ts'
import { addTotp } from './operator-totp.ts'
import { positive } from './options.ts'
import { minute } from './output.ts'
import { addDelete, addGet } from './registered.ts'
import { addChange, addList } from './verb.ts'

type Role = Schemas['Role']
type Flags = BoundFlags & { role: Role; revision?: number }
const operator = { noun: 'operator', path: '/api/v1/operators/{name}' } as const

export const roleOption = (description: string): Option =>
  new Option('--role <role>', description).choices(['admin', 'operator', 'auditor'] satisfies Role[])

export function addOperator(program: Command, io: Io): void {
  const group = program.command('operator').summary('manage operators: who may use API tokens, and in which role')
  addWrite(group, io, 'create', 'create an operator; `purser token create --operator` gives it a token')
  addWrite(group, io, 'replace', 'give an operator another role or bound, which limits its tokens at once')
  addApply(group, io, { ...operator, complete: completeOperator })
  addList(group, io, {
    summary: 'list operators',
    examples: ['purser operator list'],
    items: (api) => api.all('/api/v1/operators'),
    header: ['NAME', 'ROLE', 'BOUND', 'STATE', 'CREATED', 'REV'],
    row: ({ name, role, bound, disabled, createdAt, revision }) => [
      name,
      role,
      shortBound(bound),
      disabled ? 'disabled' : 'live',
      minute(createdAt),
      String(revision),
    ],
  })
  addGet(group, io, operator, { summary: 'show one operator', examples: ['purser operator get ada'] })
  addSwitch(group, io, 'disable', 'refuse all API tokens of an operator')
  addSwitch(group, io, 'enable', 'accept the API tokens of a disabled operator again')
  addPassword(group, io)
  addRecover(group, io)
  addTotp(group, io)
  addDelete(group, io, operator, {
    summary: 'delete an operator and revoke its API tokens',
    examples: ['purser operator delete ada --reason "left the company"'],
  })
}

function addWrite(group: Command, io: Io, verb: 'create' | 'replace', summary: string): void {
  addChange(group, io, {
    usage: `${verb} <name>`,
    summary,
    options: (command) => {
      addBoundOptions(command.addOption(roleOption('what the operator may do').makeOptionMandatory()))
      return verb === 'create'
        ? command
        : command.option('--revision <n>', 'only if this is still the current revision', positive)
    },
    examples: [
      `purser operator ${verb} ada --role operator`,
      `purser operator ${verb} shop-ada --role operator --name-prefix shop- --attestor prod-eu --spiffe-id-prefix /prod-eu/ns/shop/ --secret-prefix prod/shop/`,
    ],
    call: async (api, flags: Flags, name) => {
      const { role, reason, revision } = flags
      const body = { name, role, ...boundIn(flags) }
      if (verb === 'create') return api.call('POST', '/api/v1/operators', { body, reason })
      const { body: live } = await api.call('GET', operator.path, { path: { name } })
      const ifMatch = revision ?? live.revision
      const { bound, managedBy } = live
      const unchanged = { bound, ...(managedBy !== undefined && { managedBy }) }
      return api.call('PUT', operator.path, { path: { name }, body: { ...unchanged, ...body }, ifMatch, reason })
    },
    row: ({ name, role, bound, revision }) => [
      `operator ${name} ${verb}d`,
      `role ${role}`,
      ...(bound === 'everything' ? [] : [`bound ${shortBound(bound)}`]),
      `revision ${revision}`,
    ],
  })
}

function addSwitch(group: Command, io: Io, verb: 'disable' | 'enable', summary: string): void {
  addChange(group, io, {
    usage: `${verb} <name>`,
    summary,
    examples: [`purser operator ${verb} ada --reason "incident 42"`],
    call: (api, { reason }, name) => api.call('POST', `${operator.path}:${verb}`, { path: { name }, reason }),
    row: ({ name, revision }) => [`operator ${name} ${verb}d`, `revision ${revision}`],
  })
}
