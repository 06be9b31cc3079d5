/** `purser secret metadata`: shows or changes description, labels and limits of a secret. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { type ServerFlags, withApi } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import type { Io } from '../io.ts'
import { repeated, facts, positive, withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, show } from '../output.ts'
import { findSecret, secretPath, underVersion, withPath } from './place.ts'

type Flags = ServerFlags &
  OutputFlags & {
    description?: string
    label?: Record<string, string>
    removeLabel?: string[]
    maxVersions?: number
    managedBy?: string
    reason?: string
  }

export function addMetadata(group: Command, io: Io): void {
  const command = withPath(group.command('metadata').summary('show or change the metadata of a secret'))
    .option('--description <text>', 'purpose of the secret; never a value')
    .option('--label <key=value>', 'add or replace a label; may be repeated', facts)
    .option('--remove-label <key>', 'remove a label; may be repeated', repeated)
    .option('--max-versions <n>', 'number of versions to keep; the next write destroys older ones', positive)
    .option('--managed-by <source>', 'source that manages it, such as git:shop')
    .action(async (path: string, refused: string[], flags: Flags) => {
      const place = { path: { path: secretPath(path, refused) } }
      const body = await withApi(io, flags, async (api) => {
        const live = await findSecret(api, path)
        // The server reports a missing secret.
        if (!live || !isChange(flags)) return (await api.call('GET', '/api/v1/secrets/{path}:metadata', place)).body
        const request = { ...place, body: merged(live, flags), ifMatch: live.revision, reason: flags.reason }
        const write = () => api.call('PUT', '/api/v1/secrets/{path}:metadata', request)
        return (await underVersion(path, live.revision, write)).body
      })
      show(io, flags, body, (value) => stringify(value, { lineWidth: 0 }))
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser secret metadata prod/db/password',
    'purser secret metadata prod/db/password --label team=shop --max-versions 5',
  )
}

const isChange = ({ description, label, removeLabel, maxVersions, managedBy }: Flags): boolean =>
  [description, label, removeLabel, maxVersions, managedBy].some((value) => value !== undefined)

function merged(live: Schemas['Secret'], flags: Flags) {
  const { description = live.description, maxVersions = live.maxVersions, managedBy = live.managedBy } = flags
  const labels = Object.entries({ ...live.labels, ...flags.label }).filter(([key]) => !flags.removeLabel?.includes(key))
  return {
    labels: Object.fromEntries(labels),
    maxVersions,
    ...(description !== undefined && { description }),
    ...(managedBy !== undefined && { managedBy }),
  }
}
