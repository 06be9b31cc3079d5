/** `purser secret put`: writes a new version, or creates the secret. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { seconds, whole, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { withValue } from './value.ts'
import { withPath } from './place.ts'
import { type WriteFlags, writeSecret } from './write.ts'

export function addPut(group: Command, io: Io): void {
  const command = withPath(group.command('put').summary('write a new version, or create a secret'))
    .option('--version <n>', 'only if this is still the live version; 0 creates, and never replaces', whole)
    .option('--expires <duration>', 'make this version unreadable after this time, such as 90d', seconds)
    .action((path: string, refused: string[], flags: WriteFlags) => writeSecret(io, 'PUT', path, refused, flags))
  withExamples(
    withReason(withOutput(withServer(withValue(command)))),
    'purser secret put prod/db/password --file value.json',
    'pass show prod/db | purser secret put prod/db/password --field password',
    'purser secret put prod/web/tls --file-field tls.crt=web.crt --file-field tls.key=web.key --version 0',
  )
}
