/** Settings of approvals by a second operator. */
import { suggestion } from '../names/suggestion.ts'
import { type ApprovableAction, approvable, isApprovable } from '../operators/approvable.ts'
import { BadValue } from './error.ts'
import { type Setting, day, seconds } from './setting.ts'
import { listOf } from './values.ts'

function action(input: string): ApprovableAction {
  if (isApprovable(input)) return input
  const names = Object.keys(approvable)
  throw new BadValue(`must be actions among ${names.join(', ')}${suggestion(input, names)}`)
}

export const approvalSettings = {
  approvalActions: {
    env: 'PURSER_APPROVAL_ACTIONS',
    yaml: 'operators.approvals.actions',
    parse: listOf(action),
    type: 'list of actions',
    list: true,
    default: '',
    doc: 'What needs the approval of a second operator: actions by their names in the log, such as `log.redact,attestor.delete`. [operators.md](operators.md#approvals) lists them. Every replica needs the same list.',
  },
  approvalLifetime: seconds(
    'PURSER_APPROVAL_LIFETIME_SECONDS',
    'operators.approvals.lifetimeSeconds',
    { from: 60, to: day, default: 3600 },
    'How long a request for an approval lasts: it is approved and used within this time.',
  ),
} satisfies Record<string, Setting<unknown>>
