/** `purser secret rotate`: a new value now, made by the policy or supplied; told where it counts, and old ones ended in time. */
import { type Command, Option } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { reasonHeader, seconds, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { type ValueFlags, readGiven } from './given.ts'
import { secretUrl, withPath, written } from './place.ts'
import type { SecretRotation } from './rotation-reply.ts'

type Flags = ServerFlags &
  OutputFlags &
  Omit<ValueFlags, 'newline'> & { deadline?: number; onDeadline?: string; supersede?: boolean; reason?: string }

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
      const url = secretUrl(path, refused, ':rotate')
      const { file, field, deadline, onDeadline, supersede } = flags
      const data = file === undefined && field === undefined ? undefined : await readGiven(io, flags)
      const body = {
        ...(data && { data }),
        ...(deadline !== undefined && { deadlineSeconds: deadline }),
        ...(onDeadline !== undefined && { onDeadline }),
        ...(supersede && { supersede }),
      }
      const headers = reasonHeader(flags)
      const reply = await withApi(io, flags, (api) => api.call<SecretRotation>('POST', url, { body, headers }))
      const index = reply.headers['purser-log-index']
      const { rotation } = reply.body
      show(io, flags, { ...reply.body, logIndex: index }, () =>
        written(`rotation of ${path} begun, version ${rotation?.toVersion ?? ''}  ${rotation?.id ?? ''}`, index),
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
