/** `purser secret rotation`: the policy of a secret, and what becomes of a rotation that is stuck. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { type ServerFlags, withApi } from '../api.ts'
import { readDefinitions } from '../documents.ts'
import type { Io } from '../io.ts'
import { positive, reasonHeader, seconds, whole, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { ifMatch, secretUrl, usage, withPath, written } from './place.ts'
import { type SecretRotation, rotationWords } from './rotation-reply.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

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
      const url = secretUrl(path, refused, ':rotation')
      const { body } = await withApi(io, flags, (api) => api.call<SecretRotation>('GET', url))
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
      const url = secretUrl(path, refused, ':rotation')
      const [body, second] = await readDefinitions(io, flags.file)
      if (!body || second) throw usage(`${flags.file} must hold one policy`)
      await withApi(io, flags, async (api) => {
        const revision = flags.revision ?? (await api.call<SecretRotation>('GET', url)).body.revision
        const headers = { ...ifMatch(revision), ...reasonHeader(flags) }
        const reply = await api.call<SecretRotation>('PUT', url, { body, headers })
        const index = reply.headers['purser-log-index']
        show(io, flags, { ...reply.body, logIndex: index }, (object) =>
          written(`rotation policy of ${object.path} set, revision ${object.revision}`, index),
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
      const url = secretUrl(path, refused, ':rotation')
      await withApi(io, flags, async (api) => {
        const revision = flags.revision ?? (await api.call<SecretRotation>('GET', url)).body.revision
        const reply = await api.call('DELETE', url, { headers: { ...ifMatch(revision), ...reasonHeader(flags) } })
        const index = reply.headers['purser-log-index']
        show(io, flags, { path, logIndex: index }, () => written(`rotation policy of ${path} removed`, index))
      })
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation remove prod/db/password')
}

async function say(io: Io, flags: Flags, url: string, body: object, done: string): Promise<void> {
  const headers = reasonHeader(flags)
  const reply = await withApi(io, flags, (api) => api.call<SecretRotation>('POST', url, { body, headers }))
  const index = reply.headers['purser-log-index']
  show(io, flags, { ...reply.body, logIndex: index }, ({ path, rotation }) =>
    written(`rotation of ${path}: ${done}, ${rotation?.state ?? ''}`, index),
  )
}

function steering(group: Command, io: Io, verb: 'retire' | 'hold' | 'cancel', summary: string): void {
  const command = withPath(group.command(verb).summary(summary)).action(
    async (path: string, refused: string[], flags: Flags) =>
      say(io, flags, secretUrl(path, refused, ':rotation'), { do: verb }, verb),
  )
  withExamples(withReason(withOutput(withServer(command))), `purser secret rotation ${verb} prod/db/password`)
}

function addExtend(group: Command, io: Io): void {
  const command = withPath(group.command('extend').summary('give its consumers more time'))
    .requiredOption('--by <time>', 'how much: 600, 10m, 24h', seconds)
    .action(async (path: string, refused: string[], flags: Flags & { by: number }) =>
      say(io, flags, secretUrl(path, refused, ':rotation'), { do: 'extend', seconds: flags.by }, 'extended'),
    )
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation extend prod/db/password --by 2h')
}

function addExcuse(group: Command, io: Io): void {
  const command = withPath(group.command('excuse').summary('wait no more for one consumer'))
    .requiredOption('--session <id>', 'as `purser secret consumers` names it')
    .action(async (path: string, refused: string[], flags: Flags & { session: string }) =>
      say(io, flags, secretUrl(path, refused, ':rotation'), { do: 'excuse', session: flags.session }, 'excused'),
    )
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret rotation excuse prod/db/password --session ses_6f1f2a0b3c4d5e6f708192a3b4c5d6e7',
  )
}

function addRollback(group: Command, io: Io): void {
  const command = withPath(group.command('rollback').summary('make the value of an earlier version the live one again'))
    .requiredOption('--to <version>', 'a version that was not retired', positive)
    .action(async (path: string, refused: string[], flags: Flags & { to: number }) =>
      say(io, flags, secretUrl(path, refused, ':rollback'), { toVersion: flags.to }, `back to version ${flags.to}`),
    )
  withExamples(withReason(withOutput(withServer(command))), 'purser secret rotation rollback prod/db/password --to 7')
}
