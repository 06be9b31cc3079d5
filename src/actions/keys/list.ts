import type { Keyring } from '../../keys/keyring.ts'
import type { Database } from '../../store/database.ts'
import { type WrappingKey, readWrappingKeys } from '../../store/keys.ts'
import { valuesByKey } from '../../store/rewrap.ts'
import type { KeyRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'

/** `current`: the id of the wrapping key in use. `values`: how many values' data keys each wraps. */
export type KeyList = {
  keys: KeyRow[]
  wrapping: (WrappingKey & { values: number })[]
  current: string
}

/** The keys that are not gone, and the wrapping keys that still wrap something. */
export const listKeys =
  ({ db, keyring }: { db: Pick<Database, 'knex'>; keyring: Pick<Keyring, 'currentId'> }) =>
  async ({ time }: Pick<Context, 'time'>, { keys: rows }: Snapshot): Promise<KeyList> => {
    const keys = [...rows.values()].filter((row) => row.goneAt > time)
    const used = new Set(keys.filter((row) => row.wrapped.length > 0).map((row) => row.wrappingKeyId))
    const current = keyring.currentId
    const values = await valuesByKey(db.knex)
    const wrapping = (await readWrappingKeys(db.knex))
      .filter(({ id }) => id === current || used.has(id) || values.has(id))
      .map((row) => ({ ...row, values: values.get(row.id) ?? 0 }))
    return { keys, wrapping, current }
  }
