/** What the log records of a secret: its state, never a value. */
import type { Change } from '../../audit/record.ts'
import { rfc3339 } from '../../issue/lifetime.ts'
import { changedSecret, secretRevision } from '../../secrets/entry.ts'
import type { SecretRow } from '../../store/rows.ts'

export const secretState = (row: SecretRow) => ({
  path: row.path,
  version: row.version,
  revision: row.revision,
  ...(row.description !== undefined && { description: row.description }),
  labels: row.labels,
  maxVersions: row.maxVersions,
  ...(row.managedBy !== undefined && { managedBy: row.managedBy }),
  ...(row.rotator !== undefined && { rotator: row.rotator }),
  createdAt: rfc3339(row.createdAt),
  updatedAt: rfc3339(row.updatedAt),
})

/** The entry of a change to a secret that stays. */
export const secretChange = (
  row: SecretRow,
  detail?: Record<string, unknown>,
): Pick<Change<unknown>, 'entry' | 'changed'> => ({
  entry: { resource: secretRevision(row), change: { after: secretState(row) }, ...(detail && { detail }) },
  changed: changedSecret(row),
})
