/** `purser secret rotation`: the policy of a secret, and what becomes of a rotation that is stuck. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { type ServerFlags, withApi } from '../api.ts'
import type { RequestOf, Schemas } from '../api-types.ts'
import { readDefinitions } from '../documents.ts'
import type { Io } from '../io.ts'
import { positive, seconds, whole, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretPath, usage, withPath, written } from './place.ts'
import { rotationWords } from './rotation-reply.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

const rotation = '/api/v1/secrets/{path}:rotation'

export function addRotation(group: Command, io: Io): void {
  const verbs = group
    .command('rotation')
    .summary('set when and how a secret rotates, and steer a rotation that is stuck')
  addShow(verbs, io)
  addSet(verbs, io)
  addRemove(verbs, io)
  steering(verbs, io, 'retire', 'end the versions before now, whoever holds them')
  steering(verbs, io, 'hold', 'keep the versions before until somebody says otherwise')
  steering(verbs, io, 'cancel', 'take it back: the earlier value becomes the live one again')
  addExtend(verbs, io)
  addExcuse(verbs, io)
  addRollback(verbs, io)
}

function addShow(group: Command, io: Io): void {
  const command = withPath(group.command('show').summary('show the policy, as `set` takes it')).action(
    async (path: string, refused: string[], flags: Flags) => {
      const place = { path: { path: secretPath(path, refused) } }
      const { body } = await withApi(io, flags, (api) => api.call('GET', rotation, place))
      show(io, flags, body, ({ policy }) => (policy ? stringify(policy, { lineWidth: 0 }) : rotationWords(body)))
    },
  )
  withExamples(withOutput(withServer(command)), 'purser secret rotation show prod/db/password > policy.yaml')
}

function addSet(group: Command, io: Io): void {
  const command = withPath(group.command('set').summary('set the policy, from YAML or JSON'))
    .requiredOption('--file <file>', 'the policy; - for standard input')
    .option('--revision <n>', 'only if the policy is still at this revision; 0 for none yet', whole)
    .action(async (path: string, refused: string[], flags: Flags & { file: string; revision?: number }) => {
      const place = { path: { path: secretPath(path, refused) } }
      const [definition, second] = await readDefinitions(io, flags.file)
      if (!definition || second) throw usage(`${flags.file} must hold one policy`)
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
  const command = withPath(group.command('remove').summary('remove the policy: nothing rotates it by itself any more'))
    .option('--revision <n>', 'only if the policy is still at this revision', whole)
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

async function steer(
  io: Io,
  flags: Flags,
  path: string,
  body: NonNullable<RequestOf<'POST', typeof rotation>['body']>,
  done: string,
): Promise<void> {
  const { reason } = flags
  const reply = await withApi(io, flags, (api) => api.call('POST', rotation, { path: { path }, body, reason }))
  showSteered(io, flags, reply, done)
}

function showSteered(
  io: Io,
  flags: Flags,
  { body, logIndex }: { body: Schemas['SecretRotation']; logIndex: string | undefined },
  done: string,
): void {
  show(io, flags, { ...body, logIndex }, ({ path, rotation }) =>
    written(`rotation of ${path}: ${done}, ${rotation?.state ?? ''}`, logIndex),
  )
}

function steering(group: Command, io: Io, verb: 'retire' | 'hold' | 'cancel', summary: string): void {
  const command = withPath(group.command(verb).summary(summary)).action(
    async (path: string, refused: string[], flags: Flags) =>
      steer(io, flags, secretPath(path, refused), { do: verb }, verb),
  )
  withExamples(withReason(withOutput(withServer(command))), `purser secret rotation ${verb} prod/db/password`)
}

function addExtend(group: Command, io: Io): void {
  const command = withPath(group.command('extend').summary('give its consumers more time'))
    .requiredOption('--by <time>', 'how much: 600, 10m, 24h', seconds)
    .action(async (path: string, refused: string[], flags: Flags & { by: number }) =>
      steer(io, flags, secretPath(path, refused), { do: 'extend', seconds: flags.by }, 'extended'),
    )
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation extend prod/db/password --by 2h')
}

function addExcuse(group: Command, io: Io): void {
  const command = withPath(group.command('excuse').summary('wait no more for one consumer'))
    .requiredOption('--session <id>', 'as `purser secret consumers` names it')
    .action(async (path: string, refused: string[], flags: Flags & { session: string }) =>
      steer(io, flags, secretPath(path, refused), { do: 'excuse', session: flags.session }, 'excused'),
    )
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret rotation excuse prod/db/password --session ses_6f1f2a0b3c4d5e6f708192a3b4c5d6e7',
  )
}

function addRollback(group: Command, io: Io): void {
  const command = withPath(group.command('rollback').summary('make the value of an earlier version the live one again'))
    .requiredOption('--to <version>', 'a version that was not retired', positive)
    .action(async (path: string, refused: string[], { to, ...flags }: Flags & { to: number }) => {
      const request = { path: { path: secretPath(path, refused) }, body: { toVersion: to }, reason: flags.reason }
      const reply = await withApi(io, flags, (api) => api.call('POST', '/api/v1/secrets/{path}:rollback', request))
      showSteered(io, flags, reply, `back to version ${to}`)
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation rollback prod/db/password --to 7')
}
