/** Secrets as replies and the log show them: never a value. */
import { rfc3339 } from '../issue/lifetime.ts'
import type { SecretRow } from '../store/rows.ts'
import type { VersionRow } from '../store/secret-versions.ts'

const time = (name: string, at: Date | undefined) => (at ? { [name]: rfc3339(at) } : {})

/** To every caller who may list it: without a current value it carries the time at which it lost that. */
export const showListed = (
  { path, version, updatedAt }: SecretRow,
  { deletedAt, destroyedAt }: Pick<VersionRow, 'deletedAt' | 'destroyedAt'> = {},
) => ({
  path,
  version,
  updatedAt: rfc3339(updatedAt),
  ...time('deletedAt', deletedAt),
  ...time('destroyedAt', destroyedAt),
})

/** To operators, and for `change.after`. */
export const showSecret = (row: SecretRow) => ({
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

export const showVersion = (row: Omit<VersionRow, 'sealed'>, secret: SecretRow) => ({
  version: row.version,
  current: row.version === secret.version,
  source: row.source,
  createdBy: row.createdBy,
  createdAt: rfc3339(row.createdAt),
  ...time('expiresAt', row.expiresAt),
  ...time('deletedAt', row.deletedAt),
  ...time('retiredAt', row.retiredAt),
  ...time('destroyedAt', row.destroyedAt),
})
