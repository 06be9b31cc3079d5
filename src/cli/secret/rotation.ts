/** `purser secret rotation`: the rotation policy of a secret, and control over a running rotation. */
import type { Command } from 'commander'
import type { Api } from '../api.ts'
import type { RequestOf, Schemas } from '../api-types.ts'
import { readDefinitions } from '../documents.ts'
import { type Io, usageError } from '../io.ts'
import { positive, seconds, whole } from '../options.ts'
import { asYaml, show } from '../output.ts'
import { type VerbFlags, addChange, addVerb } from '../verb.ts'
import { withIndex, withPath } from './place.ts'
import { formatRotation } from './rotation-reply.ts'

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
  addVerb(group, io, {
    usage: 'show',
    summary: 'show the policy, in the format of `set`',
    options: withPath,
    examples: ['purser secret rotation show prod/db/password > policy.yaml'],
    run: async (api, flags, path) => {
      const { body } = await api.call('GET', rotation, { path: { path } })
      show(io, flags, body, ({ policy }) => (policy ? asYaml(policy) : formatRotation(body)))
    },
  })
}

function addSet(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'set',
    summary: 'set the policy from a YAML or JSON file',
    options: (command) =>
      withPath(command)
        .requiredOption('--file <file>', 'file with the policy; - for stdin')
        .option('--revision <n>', 'only if this is still the current revision; 0 if there is no policy', whole),
    examples: ['purser secret rotation set prod/db/password --file policy.yaml'],
    call: async (api, { file, reason, ...flags }: VerbFlags & { file: string; revision?: number }, path) => {
      const [definition, second] = await readDefinitions(io, file)
      if (!definition || second) throw usageError(`${file} must hold exactly one policy`)
      const place = { path: { path } }
      const ifMatch = flags.revision ?? (await api.call('GET', rotation, place)).body.revision
      return withIndex(path, await api.call('PUT', rotation, { ...place, definition, ifMatch, reason }))
    },
    row: ({ path, revision }) => [`rotation policy of ${path} set, revision ${revision}`],
  })
}

function addRemove(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'remove',
    summary: 'remove the policy, which stops automatic rotation',
    options: (command) =>
      withPath(command).option('--revision <n>', 'only if this is still the current revision', whole),
    examples: ['purser secret rotation remove prod/db/password'],
    call: async (api, { reason, ...flags }: VerbFlags & { revision?: number }, path) => {
      const place = { path: { path } }
      const ifMatch = flags.revision ?? (await api.call('GET', rotation, place)).body.revision
      const { logIndex } = await api.call('DELETE', rotation, { ...place, ifMatch, reason })
      return withIndex(path, { body: {}, logIndex })
    },
    row: ({ path }) => [`rotation policy of ${path} removed`],
  })
}

type Control = NonNullable<RequestOf<'POST', typeof rotation>['body']>

async function control(api: Api, path: string, body: Control, { reason }: VerbFlags) {
  return withIndex(path, await api.call('POST', rotation, { path: { path }, body, reason }))
}

const stateRow = ({ path, rotation }: Schemas['SecretRotation'], outcome: string): string[] => [
  `rotation of ${path}: ${outcome}, ${rotation?.state ?? ''}`,
]

function addControl(group: Command, io: Io, verb: 'retire' | 'hold' | 'cancel', summary: string): void {
  addChange(group, io, {
    usage: verb,
    summary,
    options: withPath,
    examples: [`purser secret rotation ${verb} prod/db/password`],
    call: (api, flags, path) => control(api, path, { do: verb }, flags),
    row: (body) => stateRow(body, verb),
  })
}

function addExtend(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'extend',
    summary: 'extend the deadline',
    options: (command) => withPath(command).requiredOption('--by <time>', 'additional time, such as 2h', seconds),
    examples: ['purser secret rotation extend prod/db/password --by 2h'],
    call: (api, flags: VerbFlags & { by: number }, path) =>
      control(api, path, { do: 'extend', seconds: flags.by }, flags),
    row: (body) => stateRow(body, 'extended'),
  })
}

function addExcuse(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'excuse',
    summary: 'stop waiting for one consumer',
    options: (command) =>
      withPath(command).requiredOption('--session <id>', 'session of the consumer, from `purser secret consumers`'),
    examples: ['purser secret rotation excuse prod/db/password --session ses_6f1f2a0b3c4d5e6f708192a3b4c5d6e7'],
    call: (api, flags: VerbFlags & { session: string }, path) =>
      control(api, path, { do: 'excuse', session: flags.session }, flags),
    row: (body) => stateRow(body, 'excused'),
  })
}

function addRollback(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'rollback',
    summary: 'make the value of an earlier version live again',
    options: (command) =>
      withPath(command).requiredOption('--to <version>', 'version to return to; it must not be retired', positive),
    examples: ['purser secret rotation rollback prod/db/password --to 7'],
    call: async (api, { to, reason }: VerbFlags & { to: number }, path) => {
      const request = { path: { path }, body: { toVersion: to }, reason }
      return withIndex(path, await api.call('POST', '/api/v1/secrets/{path}:rollback', request))
    },
    row: (body, { to }) => stateRow(body, `back to version ${to}`),
  })
}
