/** `purser secret rotate`: a new value now, made by the policy or supplied; told where it counts, and old ones ended in time. */
import { type Command, Option } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import type { Io } from '../io.ts'
import { seconds, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { type ValueFlags, readGiven } from './given.ts'
import { secretPath, withPath, written } from './place.ts'

type Flags = ServerFlags &
  OutputFlags &
  Omit<ValueFlags, 'newline'> & {
    deadline?: number
    onDeadline?: Schemas['OnDeadline']
    supersede?: boolean
    reason?: string
  }

const onDeadlines = ['retire', 'hold', 'alert']

export function addRotate(group: Command, io: Io): void {
  const command = withPath(
    group
      .command('rotate')
      .summary('a new value now: made by the policy, or supplied')
      .description(
        'Makes a new value by the rotation policy, or takes yours. The versions before are ended when every live consumer ' +
          'has moved, or as the deadline says: `purser secret status` shows it.',
      ),
  )
    .option('--file <file>', 'a value of yours, a JSON object; - for standard input')
    .option('--field <name>', 'one member of it, whose text is on standard input')
    .option('--deadline <time>', 'how long consumers have to move: 600, 10m, 24h', seconds)
    .addOption(new Option('--on-deadline <what>', 'what happens then').choices(onDeadlines))
    .option('--supersede', 'take the place of a rotation that waits for its consumers')
    .action(async (path: string, refused: string[], flags: Flags) => {
      const place = { path: { path: secretPath(path, refused) } }
      const { file, field, deadline, onDeadline, supersede, reason } = flags
      const data = file === undefined && field === undefined ? undefined : await readGiven(io, flags)
      const body = {
        ...(data && { data }),
        ...(deadline !== undefined && { deadlineSeconds: deadline }),
        ...(onDeadline !== undefined && { onDeadline }),
        ...(supersede && { supersede }),
      }
      const reply = await withApi(io, flags, (api) =>
        api.call('POST', '/api/v1/secrets/{path}:rotate', { ...place, body, reason }),
      )
      const { logIndex, body: state } = reply
      show(io, flags, { ...state, logIndex }, ({ rotation }) =>
        written(`rotation of ${path} begun, version ${rotation?.toVersion ?? ''}  ${rotation?.id ?? ''}`, logIndex),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret rotate prod/db/password --reason "incident 42"',
    'purser secret rotate prod/db/password --supersede --deadline 10m --reason "incident 42"',
    'purser secret rotate prod/db/password --deadline 1h --on-deadline retire',
    'purser secret rotate prod/api/key --field key < new-key',
  )
}
