/** The views of secrets and versions, without values. */
import type { ListedSecret } from '../actions/secrets/list.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { SecretRow } from '../store/rows.ts'
import type { VersionRow } from '../store/secret-versions.ts'
import { timeMember } from './times.ts'

export const showListed = ({ secret: { path, version, updatedAt }, ends }: ListedSecret) => ({
  path,
  version,
  updatedAt: rfc3339(updatedAt),
  ...timeMember('deletedAt', ends?.deletedAt),
  ...timeMember('destroyedAt', ends?.destroyedAt),
})

export const showVersion = (row: Omit<VersionRow, 'sealed'>, secret: SecretRow) => ({
  version: row.version,
  current: row.version === secret.version,
  source: row.source,
  createdBy: row.createdBy,
  createdAt: rfc3339(row.createdAt),
  ...timeMember('expiresAt', row.expiresAt),
  ...timeMember('deletedAt', row.deletedAt),
  ...timeMember('retiredAt', row.retiredAt),
  ...timeMember('destroyedAt', row.destroyedAt),
})
