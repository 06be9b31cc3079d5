/** `purser secret rotation`: the rotation policy of a secret, and control over a running rotation. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { type ServerFlags, withApi } from '../api.ts'
import type { RequestOf, Schemas } from '../api-types.ts'
import { readDefinitions } from '../documents.ts'
import type { Io } from '../io.ts'
import { positive, seconds, whole, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretPath, usage, withPath, written } from './place.ts'
import { formatRotation } from './rotation-reply.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

const rotation = '/api/v1/secrets/{path}:rotation'

export function addRotation(group: Command, io: Io): void {
  const verbs = group.command('rotation').summary('set the rotation policy of a secret, and control a running rotation')
  addShow(verbs, io)
  addSet(verbs, io)
  addRemove(verbs, io)
  addControl(verbs, io, 'retire', 'retire earlier versions now, even if consumers still use them')
  addControl(verbs, io, 'hold', 'keep earlier versions until an operator decides')
  addControl(verbs, io, 'cancel', 'cancel the rotation: the earlier value becomes live again')
  addExtend(verbs, io)
  addExcuse(verbs, io)
  addRollback(verbs, io)
}

function addShow(group: Command, io: Io): void {
  const command = withPath(group.command('show').summary('show the policy, in the format of `set`')).action(
    async (path: string, refused: string[], flags: Flags) => {
      const place = { path: { path: secretPath(path, refused) } }
      const { body } = await withApi(io, flags, (api) => api.call('GET', rotation, place))
      show(io, flags, body, ({ policy }) => (policy ? stringify(policy, { lineWidth: 0 }) : formatRotation(body)))
    },
  )
  withExamples(withOutput(withServer(command)), 'purser secret rotation show prod/db/password > policy.yaml')
}

function addSet(group: Command, io: Io): void {
  const command = withPath(group.command('set').summary('set the policy from a YAML or JSON file'))
    .requiredOption('--file <file>', 'file with the policy; - for stdin')
    .option('--revision <n>', 'only if this is still the current revision; 0 if there is no policy', whole)
    .action(async (path: string, refused: string[], flags: Flags & { file: string; revision?: number }) => {
      const place = { path: { path: secretPath(path, refused) } }
      const [definition, second] = await readDefinitions(io, flags.file)
      if (!definition || second) throw usage(`${flags.file} must hold exactly one policy`)
      await withApi(io, flags, async (api) => {
        const ifMatch = flags.revision ?? (await api.call('GET', rotation, place)).body.revision
        const request = { ...place, definition, ifMatch, reason: flags.reason }
        const { body, logIndex } = await api.call('PUT', rotation, request)
        show(io, flags, { ...body, logIndex }, ({ path, revision }) =>
          written(`rotation policy of ${path} set, revision ${revision}`, logIndex),
        )
      })
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret rotation set prod/db/password --file policy.yaml',
  )
}

function addRemove(group: Command, io: Io): void {
  const command = withPath(group.command('remove').summary('remove the policy, which stops automatic rotation'))
    .option('--revision <n>', 'only if this is still the current revision', whole)
    .action(async (path: string, refused: string[], flags: Flags & { revision?: number }) => {
      const place = { path: { path: secretPath(path, refused) } }
      await withApi(io, flags, async (api) => {
        const ifMatch = flags.revision ?? (await api.call('GET', rotation, place)).body.revision
        const { logIndex } = await api.call('DELETE', rotation, { ...place, ifMatch, reason: flags.reason })
        show(io, flags, { path, logIndex }, () => written(`rotation policy of ${path} removed`, logIndex))
      })
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation remove prod/db/password')
}

async function control(
  io: Io,
  flags: Flags,
  path: string,
  body: NonNullable<RequestOf<'POST', typeof rotation>['body']>,
  done: string,
): Promise<void> {
  const { reason } = flags
  const reply = await withApi(io, flags, (api) => api.call('POST', rotation, { path: { path }, body, reason }))
  showState(io, flags, reply, done)
}

function showState(
  io: Io,
  flags: Flags,
  { body, logIndex }: { body: Schemas['SecretRotation']; logIndex: string | undefined },
  done: string,
): void {
  show(io, flags, { ...body, logIndex }, ({ path, rotation }) =>
    written(`rotation of ${path}: ${done}, ${rotation?.state ?? ''}`, logIndex),
  )
}

function addControl(group: Command, io: Io, verb: 'retire' | 'hold' | 'cancel', summary: string): void {
  const command = withPath(group.command(verb).summary(summary)).action(
    async (path: string, refused: string[], flags: Flags) =>
      control(io, flags, secretPath(path, refused), { do: verb }, verb),
  )
  withExamples(withReason(withOutput(withServer(command))), `purser secret rotation ${verb} prod/db/password`)
}

function addExtend(group: Command, io: Io): void {
  const command = withPath(group.command('extend').summary('extend the deadline'))
    .requiredOption('--by <time>', 'additional time, such as 2h', seconds)
    .action(async (path: string, refused: string[], flags: Flags & { by: number }) =>
      control(io, flags, secretPath(path, refused), { do: 'extend', seconds: flags.by }, 'extended'),
    )
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation extend prod/db/password --by 2h')
}

function addExcuse(group: Command, io: Io): void {
  const command = withPath(group.command('excuse').summary('stop waiting for one consumer'))
    .requiredOption('--session <id>', 'session of the consumer, from `purser secret consumers`')
    .action(async (path: string, refused: string[], flags: Flags & { session: string }) =>
      control(io, flags, secretPath(path, refused), { do: 'excuse', session: flags.session }, 'excused'),
    )
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret rotation excuse prod/db/password --session ses_6f1f2a0b3c4d5e6f708192a3b4c5d6e7',
  )
}

function addRollback(group: Command, io: Io): void {
  const command = withPath(group.command('rollback').summary('make the value of an earlier version live again'))
    .requiredOption('--to <version>', 'version to return to; it must not be retired', positive)
    .action(async (path: string, refused: string[], { to, ...flags }: Flags & { to: number }) => {
      const request = { path: { path: secretPath(path, refused) }, body: { toVersion: to }, reason: flags.reason }
      const reply = await withApi(io, flags, (api) => api.call('POST', '/api/v1/secrets/{path}:rollback', request))
      showState(io, flags, reply, `back to version ${to}`)
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation rollback prod/db/password --to 7')
}
