/** Secrets and versions as replies show them: never a value. */
import type { ListedSecret } from '../actions/secrets/list.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { SecretRow } from '../store/rows.ts'
import type { VersionRow } from '../store/secret-versions.ts'

const time = (name: string, at: Date | undefined) => (at ? { [name]: rfc3339(at) } : {})

export const showListed = ({ secret: { path, version, updatedAt }, ends }: ListedSecret) => ({
  path,
  version,
  updatedAt: rfc3339(updatedAt),
  ...time('deletedAt', ends?.deletedAt),
  ...time('destroyedAt', ends?.destroyedAt),
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
