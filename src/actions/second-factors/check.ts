/**
 * Checks a code of the second factor, before the transaction that uses it up. A code is used once at all replicas: the
 * transaction marks it, and refuses where another one did.
 */
import { refuse } from '../../errors.ts'
import { type SealingKeyring, openValue } from '../../keys/data-keys.ts'
import { hashRecoveryCode, isRecoveryCode } from '../../operators/recovery-codes.ts'
import { stepOf } from '../../operators/totp.ts'
import type { Database, Knex } from '../../store/database.ts'
import { type TotpRow, hasRecoveryCode, spendRecoveryCode, spendStep } from '../../store/second-factors.ts'

/** A code that is right, and not used up yet. */
export type CheckedCode = { kind: 'totp'; id: string; step: number } | { kind: 'recovery'; hash: Buffer }

export type CodeParts = {
  db: Pick<Database, 'knex'>
  keyring: SealingKeyring
  openedKeys: (ids: readonly string[]) => Promise<void>
}

export const totpPlace = (id: string) => ({ kind: 'totp', id }) as const

export const createCheckCode =
  ({ db, keyring, openedKeys }: CodeParts) =>
  /** @returns nothing for a wrong code */
  async (totp: TotpRow, code: string, now: Date): Promise<CheckedCode | undefined> => {
    const { id, operatorId, wrappingKeyId } = totp
    if (isRecoveryCode(code)) {
      const hash = hashRecoveryCode(operatorId, code)
      return (await hasRecoveryCode(db.knex, operatorId, hash)) ? { kind: 'recovery', hash } : undefined
    }
    await openedKeys([wrappingKeyId])
    const secret = openValue(keyring, totpPlace(id), totp)
    const step = stepOf(secret, code, now)
    secret.fill(0)
    return step === undefined ? undefined : { kind: 'totp', id, step }
  }

/** @throws Refusal `unauthenticated` for a code that was used before */
export async function spendCode(
  tx: Knex.Transaction,
  { operatorId, operator }: { operatorId: string; operator: string },
  code: CheckedCode,
  now: Date,
): Promise<void> {
  const isUnused =
    code.kind === 'totp'
      ? await spendStep(tx, code.id, code.step)
      : await spendRecoveryCode(tx, operatorId, code.hash, now)
  if (!isUnused) throw refuse('unauthenticated', { explanation: { operator, cause: 'the code was used before' } })
}
