/** What `put` and `patch` share: the value, the precondition, and what is told of the outcome. */
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { reasonHeader } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { type ValueFlags, readGiven } from './given.ts'
import { type Secret, findSecret, ifMatch, secretUrl, underVersion, usage, written } from './place.ts'

export type WriteFlags = ServerFlags &
  OutputFlags &
  ValueFlags & { version?: number; expires?: number; reason?: string }

export async function writeSecret(
  io: Io,
  method: 'PUT' | 'PATCH',
  path: string,
  refused: readonly string[],
  flags: WriteFlags,
): Promise<void> {
  const url = secretUrl(path, refused)
  const data = await readGiven(io, flags)
  const { expires } = flags
  await withApi(io, flags, async (api) => {
    const version = flags.version ?? (await findSecret(api, path))?.version ?? 0
    if (method === 'PATCH' && version === 0) throw usage(`there is no ${path} to change: purser secret put makes it`)
    const body = {
      data,
      ...(expires !== undefined && { expiresAt: new Date(Date.now() + expires * 1000).toISOString() }),
    }
    const headers = { ...ifMatch(version), ...reasonHeader(flags) }
    const reply = await underVersion(path, version, () => api.call<Secret>(method, url, { body, headers }))
    const index = reply.headers['purser-log-index']
    const did = version === 0 ? 'created' : 'written'
    show(io, flags, { ...reply.body, logIndex: index }, (object) =>
      written(`secret ${object.path} ${did}, version ${object.version}`, index),
    )
  })
}
