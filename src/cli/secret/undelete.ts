/** `purser secret undelete`: restores deleted versions. Destroyed versions cannot be restored. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { withExamples, withOutput, withReason, withServer } from '../options.ts'
import { withPath } from './place.ts'
import { type VersionFlags, changeVersions, withVersions } from './versions.ts'

export function addUndelete(group: Command, io: Io): void {
  const command = withVersions(
    withPath(group.command('undelete').summary('restore deleted versions')),
    'versions to restore, such as 2,3 (default: the live version)',
  ).action((path: string, refused: string[], flags: VersionFlags) => {
    const body = flags.versions === undefined ? {} : { versions: flags.versions }
    const which = flags.versions === undefined ? 'the live version' : `versions ${flags.versions.join(', ')}`
    return changeVersions(io, 'undelete', path, refused, flags, body, `${which} undeleted`)
  })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret undelete prod/db/password',
    'purser secret undelete prod/db/password --versions 2,3',
  )
}
