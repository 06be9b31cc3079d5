/** `purser secret delete`: deletes the live version; `undelete` restores it. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { positive, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { findSecret, secretPath, underVersion, withPath, written } from './place.ts'

type Flags = ServerFlags & OutputFlags & { version?: number; reason?: string }

export function addDelete(group: Command, io: Io): void {
  const command = withPath(group.command('delete').summary('delete the live version; undelete restores it'))
    .option('--version <n>', 'only if this is still the live version', positive)
    .action(async (path: string, refused: string[], flags: Flags) => {
      const place = { path: { path: secretPath(path, refused) } }
      await withApi(io, flags, async (api) => {
        // The server refuses version 0 with its own message.
        const version = flags.version ?? (await findSecret(api, path))?.version ?? 0
        const request = { ...place, ifMatch: version, reason: flags.reason }
        const { body, logIndex } = await underVersion(path, version, () =>
          api.call('DELETE', '/api/v1/secrets/{path}', request),
        )
        show(io, flags, { ...body, deleted: version, logIndex }, () =>
          written(`secret ${path} version ${version} deleted`, logIndex),
        )
      })
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser secret delete prod/db/password --reason "unused"')
}
