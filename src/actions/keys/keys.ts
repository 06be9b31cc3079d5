import type { Database } from '../../store/database.ts'
import { type CrlParts, createCrls } from './crl.ts'
import { requestCa } from './csr.ts'
import { importCa } from './import.ts'
import { listKeys } from './list.ts'
import { type RotateKeyringParts, rotateKeyring } from './rotate-keyring.ts'
import { rotateKeys } from './rotate.ts'
import type { Rotator } from '../../keys/rotate.ts'

export type KeyActionParts = RotateKeyringParts & CrlParts & { db: Pick<Database, 'knex'>; rotator: Rotator }
export const createKeyActions = (parts: KeyActionParts) => ({
  list: listKeys(parts),
  rotate: rotateKeys(parts),
  rotateKeyring: rotateKeyring(parts),
  csr: requestCa(parts),
  import: importCa(parts),
  crl: createCrls(parts),
})
