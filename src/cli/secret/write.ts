/** `purser secret put` and `patch`: writes a new version under a precondition. */
import type { Command } from 'commander'
import type { Api } from '../api.ts'
import { type Io, usageError } from '../io.ts'
import { positive, seconds, whole } from '../options.ts'
import { show, table } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { findSecret, underVersion, withPath } from './place.ts'
import { type ValueFlags, readValue, withValue } from './value.ts'

type Flags = VerbFlags & ValueFlags & { version?: number; expires?: number }

export function addPut(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'put',
    summary: 'write a new version, or create a secret',
    options: (command) =>
      withValue(
        withPath(command)
          .option('--version <n>', 'only if this is still the live version; 0 creates, and never replaces', whole)
          .option('--expires <duration>', 'make this version unreadable after this time, such as 90d', seconds),
      ),
    reason: true,
    examples: [
      'purser secret put prod/db/password --file value.json',
      'pass show prod/db | purser secret put prod/db/password --field password',
      'purser secret put prod/web/tls --file-field tls.crt=web.crt --file-field tls.key=web.key --version 0',
    ],
    run: (api, flags: Flags, path) => write(io, api, 'PUT', path, flags),
  })
}

/** The members that do not change are not read. */
export function addPatch(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'patch',
    summary: 'change some members of a value; null removes one',
    options: (command) =>
      withValue(withPath(command).option('--version <n>', 'only if this is still the live version', positive)),
    reason: true,
    examples: ['openssl rand -base64 24 | purser secret patch prod/db/password --field password'],
    run: (api, flags: Flags, path) => write(io, api, 'PATCH', path, flags),
  })
}

async function write(io: Io, api: Api, method: 'PUT' | 'PATCH', path: string, flags: Flags): Promise<void> {
  const data = await readValue(io, flags)
  const { expires, reason } = flags
  const version = flags.version ?? (await findSecret(api, path))?.version ?? 0
  if (method === 'PATCH' && version === 0) throw usageError(`${path} does not exist: create it with purser secret put`)
  const body = {
    data,
    ...(expires !== undefined && { expiresAt: new Date(Date.now() + expires * 1000).toISOString() }),
  }
  const request = { path: { path }, body, ifMatch: version, reason }
  const write = () => api.call(method, '/api/v1/secrets/{path}', request)
  const { body: secret, logIndex } = await underVersion(path, version, write)
  const outcome = version === 0 ? 'created' : 'written'
  show(io, flags, { ...secret, logIndex }, () =>
    table([[`secret ${path} ${outcome}, version ${secret.version}`, `log ${logIndex}`]]),
  )
}
