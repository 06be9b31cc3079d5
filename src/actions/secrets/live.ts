import { refuse } from '../../errors.ts'
import { secretPath } from '../../secrets/read.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { lockSecret } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { ApiRequest } from '../../http/request.ts'

export const pathOf = ({ params }: Pick<ApiRequest, 'params'>) => secretPath(params.path ?? '', '/path/path')

export function secretOf(request: Pick<ApiRequest, 'params'>, snapshot: Pick<Snapshot, 'secrets'>): SecretRow {
  const secret = snapshot.secrets.get(pathOf(request).path)
  if (!secret) throw refuse('not_found')
  return secret
}

/** Under its row's lock, and as the snapshot has it: one that is behind is tried again on a newer one. */
export async function lockedSecret(
  request: Pick<ApiRequest, 'params'>,
  tx: Knex.Transaction,
  snapshot: Pick<Snapshot, 'secrets'>,
): Promise<SecretRow> {
  const secret = secretOf(request, snapshot)
  if ((await lockSecret(tx, secret.id)) !== secret.revision) throw refuse('stale')
  return secret
}

/** As versions and rotations name who asked for them. */
export function operatorOf({ caller }: Pick<ApiRequest, 'caller'>): string {
  if (caller.kind !== 'operator') throw refuse('token_type')
  return `operator:${caller.operator}`
}
