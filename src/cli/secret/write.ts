/** Shared by `put` and `patch`: reads the value, writes it under a precondition, and shows the result. */
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { type OutputFlags, show } from '../output.ts'
import { type ValueFlags, readValue } from './value.ts'
import { findSecret, secretPath, underVersion, usage, written } from './place.ts'

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
  const place = { path: { path: secretPath(path, refused) }, reason: flags.reason }
  const data = await readValue(io, flags)
  const { expires } = flags
  await withApi(io, flags, async (api) => {
    const version = flags.version ?? (await findSecret(api, path))?.version ?? 0
    if (method === 'PATCH' && version === 0) throw usage(`${path} does not exist: create it with purser secret put`)
    const body = {
      data,
      ...(expires !== undefined && { expiresAt: new Date(Date.now() + expires * 1000).toISOString() }),
    }
    const request = { ...place, body, ifMatch: version }
    const reply = await underVersion(path, version, () => api.call(method, '/api/v1/secrets/{path}', request))
    const { logIndex } = reply
    const did = version === 0 ? 'created' : 'written'
    show(io, flags, { ...reply.body, logIndex }, (secret) =>
      written(`secret ${secret.path} ${did}, version ${secret.version}`, logIndex),
    )
  })
}
