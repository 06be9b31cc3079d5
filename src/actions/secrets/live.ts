/** The secret of a path, as the snapshot has it. */
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { lockSecret } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** @throws Refusal `not_found` */
export function secretOf(snapshot: Pick<Snapshot, 'secrets'>, path: string): SecretRow {
  const secret = snapshot.secrets.get(path)
  if (!secret) throw refuse('not_found')
  return secret
}

/** Under its row's lock. @throws Refusal `stale` where the snapshot is behind the row: the change runs again on a newer one */
export async function lockedSecret(
  tx: Knex.Transaction,
  snapshot: Pick<Snapshot, 'secrets'>,
  path: string,
): Promise<SecretRow> {
  const secret = secretOf(snapshot, path)
  if ((await lockSecret(tx, secret.id)) !== secret.revision) throw refuse('stale')
  return secret
}
