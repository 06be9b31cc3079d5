/** Shared by verbs that act on versions of a secret. */
import { type Command, InvalidArgumentError } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { positive } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { secretPath, written } from './place.ts'

export type VersionFlags = ServerFlags & OutputFlags & { versions?: number[]; reason?: string }

function versions(value: string, before: number[] = []): number[] {
  const more = value.split(',').map((part) => positive(part.trim()))
  if (more.length === 0) throw new InvalidArgumentError('It must name versions, such as 2,3.')
  return [...before, ...more]
}

export const withVersions = (command: Command, what: string): Command =>
  command.option('--versions <list>', what, versions)

/** @param did the result, for the message */
export async function changeVersions(
  io: Io,
  verb: 'undelete' | 'destroy',
  path: string,
  refused: readonly string[],
  flags: VersionFlags,
  body: { versions?: number[]; all?: true },
  did: string,
): Promise<void> {
  const request = { path: { path: secretPath(path, refused) }, body, reason: flags.reason }
  const reply = await withApi(io, flags, (api) => api.call('POST', `/api/v1/secrets/{path}:${verb}`, request))
  const { logIndex } = reply
  show(io, flags, Object.assign({ path }, reply.body, { logIndex }), () => written(`secret ${path} ${did}`, logIndex))
}
