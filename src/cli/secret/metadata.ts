/** `purser secret metadata`: shows or changes description, labels and limits of a secret. */
import type { Command } from 'commander'
import type { Api } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import type { Io } from '../io.ts'
import { facts, positive, repeated } from '../options.ts'
import { asYaml, show } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { findSecret, underVersion, withPath } from './place.ts'

type Flags = VerbFlags & {
  description?: string
  label?: Record<string, string>
  removeLabel?: string[]
  maxVersions?: number
  managedBy?: string
}

export function addMetadata(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'metadata',
    summary: 'show or change the metadata of a secret',
    options: (command) =>
      withPath(command)
        .option('--description <text>', 'purpose of the secret; never a value')
        .option('--label <key=value>', 'add or replace a label; may be repeated', facts)
        .option('--remove-label <key>', 'remove a label; may be repeated', repeated)
        .option('--max-versions <n>', 'number of versions to keep; the next write destroys older ones', positive)
        .option('--managed-by <source>', 'source that manages it, such as git:shop'),
    reason: true,
    examples: [
      'purser secret metadata prod/db/password',
      'purser secret metadata prod/db/password --label team=shop --max-versions 5',
    ],
    run: async (api, flags: Flags, path) => {
      const body = await showOrChange(api, flags, path)
      show(io, flags, body, asYaml)
    },
  })
}

async function showOrChange(api: Api, flags: Flags, path: string): Promise<Schemas['Secret']> {
  const place = { path: { path } }
  const live = await findSecret(api, path)
  // The server reports a missing secret.
  if (!live || !isChange(flags)) return (await api.call('GET', '/api/v1/secrets/{path}:metadata', place)).body
  const request = { ...place, body: mergeMetadata(live, flags), ifMatch: live.revision, reason: flags.reason }
  const write = () => api.call('PUT', '/api/v1/secrets/{path}:metadata', request)
  return (await underVersion(path, live.revision, write)).body
}

const isChange = ({ description, label, removeLabel, maxVersions, managedBy }: Flags): boolean =>
  [description, label, removeLabel, maxVersions, managedBy].some((value) => value !== undefined)

function mergeMetadata(live: Schemas['Secret'], flags: Flags) {
  const { description = live.description, maxVersions = live.maxVersions, managedBy = live.managedBy } = flags
  const labels = Object.entries({ ...live.labels, ...flags.label }).filter(([key]) => !flags.removeLabel?.includes(key))
  return {
    labels: Object.fromEntries(labels),
    maxVersions,
    ...(description !== undefined && { description }),
    ...(managedBy !== undefined && { managedBy }),
  }
}
