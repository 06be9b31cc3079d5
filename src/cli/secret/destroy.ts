/** `purser secret destroy`: destroys values and their data keys for good. The history stays. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { withExamples, withOutput, withReason, withServer } from '../options.ts'
import { usage, withPath } from './place.ts'
import { type VersionFlags, changeVersions, withVersions } from './versions.ts'

export function addDestroy(group: Command, io: Io): void {
  const command = withVersions(
    withPath(group.command('destroy').summary('destroy versions, or the whole secret, for good')),
    'versions to destroy, such as 1,2',
  )
    .option('--all', 'destroy every version and the secret itself')
    .action((path: string, refused: string[], flags: VersionFlags & { all?: true }) => {
      const { versions, all } = flags
      if ((versions === undefined) === (all === undefined))
        throw usage('nothing to destroy: give --versions 1,2 or --all')
      const body = all ? { all } : { versions: versions ?? [] }
      const did = all ? 'destroyed with all its versions' : `versions ${String(versions?.join(', '))} destroyed`
      return changeVersions(io, 'destroy', path, refused, flags, body, did)
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret destroy prod/db/password --versions 1,2',
    'purser secret destroy prod/old --all --reason "retired"',
  )
}
