import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { lockSecret } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'

export function secretOf(path: string, snapshot: Pick<Snapshot, 'secrets'>): SecretRow {
  const secret = snapshot.secrets.get(path)
  if (!secret) throw refuse('not_found')
  return secret
}

/** Under its row's lock, and as the snapshot has it: one that is behind is tried again on a newer one. */
export async function lockedSecret(
  path: string,
  tx: Knex.Transaction,
  snapshot: Pick<Snapshot, 'secrets'>,
): Promise<SecretRow> {
  const secret = secretOf(path, snapshot)
  if ((await lockSecret(tx, secret.id)) !== secret.revision) throw refuse('stale')
  return secret
}
