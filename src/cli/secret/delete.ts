/** `purser secret delete`: the live version can be read no more; `undelete` brings it back. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { positive, reasonHeader, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { type Secret, findSecret, ifMatch, secretUrl, underVersion, withPath, written } from './place.ts'

type Flags = ServerFlags & OutputFlags & { version?: number; reason?: string }

export function addDelete(group: Command, io: Io): void {
  const command = withPath(group.command('delete').summary('delete the live version; undelete brings it back'))
    .option('--version <n>', 'only if it is still the live one', positive)
    .action(async (path: string, refused: string[], flags: Flags) => {
      const url = secretUrl(path, refused)
      await withApi(io, flags, async (api) => {
        // Where there is none the server says so.
        const version = flags.version ?? (await findSecret(api, path))?.version ?? 0
        const headers = { ...ifMatch(version), ...reasonHeader(flags) }
        const reply = await underVersion(path, version, () => api.call<Secret>('DELETE', url, { headers }))
        const index = reply.headers['purser-log-index']
        show(io, flags, { ...reply.body, deleted: version, logIndex: index }, () =>
          written(`secret ${path} version ${version} deleted`, index),
        )
      })
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser secret delete prod/db/password --reason "unused"')
}
