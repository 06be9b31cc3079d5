import { refuse } from '../../errors.ts'
import { ImportedChainError } from '../../keys/imported-chain.ts'
import { RotationError } from '../../keys/rotate.ts'
import type { Knex } from '../../store/database.ts'
import { lockKeys, readKeys } from '../../store/keys.ts'
import type { KeyRow } from '../../store/rows.ts'

/** The keys under the lock that jobs and operators take before they change any. */
export async function lockedKeys(tx: Knex.Transaction): Promise<KeyRow[]> {
  await lockKeys(tx)
  return readKeys(tx)
}

/** @throws Refusal `impossible` for a rotation or a chain that cannot be */
export async function orRefuse<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RotationError || error instanceof ImportedChainError) {
      throw refuse('impossible', { detail: error.message })
    }
    throw error
  }
}
