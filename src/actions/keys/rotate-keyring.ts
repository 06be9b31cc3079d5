import type { Keyring } from '../../keys/keyring.ts'
import type { RootKey } from '../../keys/root-key.ts'
import { writeRotatedKeyring } from '../../keys/rotate-keyring.ts'
import { newId } from '../../names/id.ts'
import type { WrappingKey } from '../../store/keys.ts'
import type { ChangeAction } from '../context.ts'

export type RotateKeyringParts = {
  rootKey: RootKey
  keyring: Pick<Keyring, 'currentId'>
  randomBytes: (size: number) => Buffer
}
type RotatedKeyring = { created: WrappingKey; replaced: WrappingKey[] }

/** A new wrapping key. It wraps private keys at once; a job wraps the values' data keys after it (jobs/rewrap.ts). */
export const rotateKeyring =
  ({ rootKey, keyring, randomBytes }: RotateKeyringParts): ChangeAction<void, RotatedKeyring> =>
  async ({ time: now }, tx, { instanceId }) => {
    const id = newId('kek', randomBytes)
    const { row, earlier, entry, changed } = await writeRotatedKeyring(tx, { rootKey, instanceId, id, now })
    const replaced = earlier.filter((key) => key.id === keyring.currentId)
    return { result: { created: row, replaced }, entry, changed }
  }
