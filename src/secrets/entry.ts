/** How the log and replicas name a secret. */
import type { Changed } from '../audit/record.ts'
import type { SecretRow } from '../store/rows.ts'

export const secretResource = ({ id, path }: Pick<SecretRow, 'id' | 'path'>) => ({ kind: 'secret', id, name: path })

export const secretRevision = (row: Pick<SecretRow, 'id' | 'path' | 'revision'>) => ({
  ...secretResource(row),
  revision: row.revision,
})

export const changedSecret = ({ id }: Pick<SecretRow, 'id'>): Changed[] => [{ table: 'secret', where: { id } }]
