/** `purser secret patch`: writes a new version with some members changed. The others are not read. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { positive, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { withValue } from './value.ts'
import { withPath } from './place.ts'
import { type WriteFlags, writeSecret } from './write.ts'

export function addPatch(group: Command, io: Io): void {
  const command = withPath(group.command('patch').summary('change some members of a value; null removes one'))
    .option('--version <n>', 'only if this is still the live version', positive)
    .action((path: string, refused: string[], flags: WriteFlags) => writeSecret(io, 'PATCH', path, refused, flags))
  withExamples(
    withReason(withOutput(withServer(withValue(command)))),
    'openssl rand -base64 24 | purser secret patch prod/db/password --field password',
  )
}
