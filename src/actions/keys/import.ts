import { applyKeyChanges, describeKey } from '../../keys/apply-changes.ts'
import type { Rotator } from '../../keys/rotate.ts'
import { importChain } from '../../keys/upstream.ts'
import { updateKey } from '../../store/keys.ts'
import type { KeyRow } from '../../store/rows.ts'
import type { ChangeAction } from '../context.ts'
import { lockedKeys, orRefuse } from './rotate.ts'

/** Both PEM: the certificate of a requested key with what leads up to the root, and the root. */
type UpstreamChain = { certificateChain: string; trustBundle: string }

type ImportParts = { rotator: Rotator; randomBytes: (size: number) => Buffer }

/** Takes the chain that an upstream CA signed for a requested key. @throws Refusal `impossible` */
export const importCa =
  ({ rotator, randomBytes }: ImportParts): ChangeAction<UpstreamChain, KeyRow> =>
  async ({ time: now }, tx, { trustDomain }, chain) => {
    const rows = await lockedKeys(tx)
    const { lifetimes, maker } = rotator
    const parts = { trustDomain, nameConstraints: maker.nameConstraints, lifetimes, now, randomBytes }
    const { imported, ...changes } = await orRefuse(() => importChain(rows, { ...chain, ...parts }))
    await updateKey(tx, imported)
    const { entries, changed } = await applyKeyChanges(tx, changes, '')
    return {
      result: imported,
      entry: { action: 'key.import', ...describeKey(imported) },
      more: entries,
      changed: [{ table: 'signing_key', where: { id: imported.id } }, ...changed],
    }
  }
