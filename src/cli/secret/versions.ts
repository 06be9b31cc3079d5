/** `purser secret delete`, `undelete` and `destroy`: ends versions of a secret, or restores them. The history stays. */
import type { Command } from 'commander'
import { type Io, usageError } from '../io.ts'
import { positive } from '../options.ts'
import { type VerbFlags, addChange } from '../verb.ts'
import { findSecret, underVersion, withIndex, withPath } from './place.ts'

type Flags = VerbFlags & { versions?: number[] }

const versionList = (value: string, before: number[] = []): number[] => [
  ...before,
  ...value.split(',').map((part) => positive(part.trim())),
]

export function addDelete(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'delete',
    summary: 'delete the live version; undelete restores it',
    options: (command) => withPath(command).option('--version <n>', 'only if this is still the live version', positive),
    examples: ['purser secret delete prod/db/password --reason "unused"'],
    call: async (api, flags: VerbFlags & { version?: number }, path) => {
      // The server refuses version 0 with its own message.
      const version = flags.version ?? (await findSecret(api, path))?.version ?? 0
      const request = { path: { path }, ifMatch: version, reason: flags.reason }
      const write = () => api.call('DELETE', '/api/v1/secrets/{path}', request)
      const { body, logIndex } = await underVersion(path, version, write)
      return withIndex(path, { body: { ...body, deleted: version }, logIndex })
    },
    row: ({ path, deleted }) => [`secret ${path} version ${deleted} deleted`],
  })
}

export function addUndelete(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'undelete',
    summary: 'restore deleted versions',
    options: (command) => {
      const about = 'versions to restore, such as 2,3 (default: the live version)'
      return withPath(command).option('--versions <list>', about, versionList)
    },
    examples: ['purser secret undelete prod/db/password', 'purser secret undelete prod/db/password --versions 2,3'],
    call: async (api, { versions, reason }: Flags, path) => {
      const body = versions === undefined ? {} : { versions }
      return withIndex(
        path,
        await api.call('POST', '/api/v1/secrets/{path}:undelete', { path: { path }, body, reason }),
      )
    },
    row: ({ path }, { versions }) => [
      `secret ${path} ${versions === undefined ? 'the live version' : `versions ${versions.join(', ')}`} undeleted`,
    ],
  })
}

export function addDestroy(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'destroy',
    summary: 'destroy versions, or the whole secret, for good',
    options: (command) =>
      withPath(command)
        .option('--versions <list>', 'versions to destroy, such as 1,2', versionList)
        .option('--all', 'destroy every version and the secret itself'),
    examples: [
      'purser secret destroy prod/db/password --versions 1,2',
      'purser secret destroy prod/old --all --reason "retired"',
    ],
    call: async (api, { versions, all, reason }: Flags & { all?: true }, path) => {
      if ((versions === undefined) === (all === undefined))
        throw usageError('nothing to destroy: give --versions 1,2 or --all')
      const body = all ? { all } : { versions: versions ?? [] }
      return withIndex(path, await api.call('POST', '/api/v1/secrets/{path}:destroy', { path: { path }, body, reason }))
    },
    row: ({ path }, { versions }) => [
      `secret ${path} ${versions === undefined ? 'destroyed with all its versions' : `versions ${versions.join(', ')} destroyed`}`,
    ],
  })
}
