import type { Change } from '../../audit/record.ts'
import { applyKeyChanges } from '../../keys/apply-changes.ts'
import { describeKey } from '../../keys/describe-key.ts'
import type { Rotator } from '../../keys/rotate.ts'
import { importChain } from '../../keys/upstream.ts'
import type { Knex } from '../../store/database.ts'
import { updateKey } from '../../store/keys.ts'
import type { KeyRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { lockedKeys, orRefuse } from './locked.ts'

/** Both PEM: the certificate of a requested key with what leads up to the root, and the root. */
type UpstreamChain = { certificateChain: string; trustBundle: string }

/** Takes the chain that an upstream CA signed for a requested key. @throws Refusal `impossible` */
export const importCa =
  ({ rotator, randomBytes }: { rotator: Rotator; randomBytes: (size: number) => Buffer }) =>
  async (
    { time: now }: Pick<Context, 'time'>,
    tx: Knex.Transaction,
    { trustDomain }: Snapshot,
    { certificateChain, trustBundle }: UpstreamChain,
  ): Promise<Change<KeyRow>> => {
    const rows = await lockedKeys(tx)
    const { lifetimes } = rotator
    const { nameConstraints } = rotator.maker
    const { imported, ...changes } = await orRefuse(() =>
      importChain(rows, {
        certificateChain,
        trustBundle,
        trustDomain,
        ...(nameConstraints && { nameConstraints }),
        lifetimes,
        now,
        randomBytes,
      }),
    )
    await updateKey(tx, imported)
    const { entries, changed } = await applyKeyChanges(tx, changes, '')
    return {
      result: imported,
      entry: { action: 'key.import', ...describeKey(imported) },
      more: entries,
      changed: [{ table: 'signing_key', where: { id: imported.id } }, ...changed],
    }
  }
