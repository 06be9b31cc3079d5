/** The second factor of an operator: an authenticator app (RFC 6238), with recovery codes. */
import { refuse } from '../../errors.ts'
import { sealValue } from '../../keys/data-keys.ts'
import { newId } from '../../names/id.ts'
import { hashRecoveryCode, newRecoveryCodes } from '../../operators/recovery-codes.ts'
import { describeTotp, totpSecretBytes } from '../../operators/totp.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { confirmTotp, readTotp, removeSecondFactor, writeTotp } from '../../store/second-factors.ts'
import { endLogins } from '../../store/tokens.ts'
import type { ChangeAction, Context } from '../context.ts'
import type { LoginTries } from '../logins/tries.ts'
import { changedRows, operatorResource } from '../operators/state.ts'
import { type OwnLogins, refuseForOthers, targetOf } from '../operators/set-password.ts'
import { type CheckedCode, type CodeParts, createCheckCode, spendCode, totpPlace } from './check.ts'

export type SecondFactorParts = CodeParts & OwnLogins & { randomBytes: (size: number) => Buffer; tries: LoginTries }

type Named = { operator: string; code?: string }
/** A code that is checked. The transaction uses it up. */
type Checked = { operator: string; code?: CheckedCode }

/** Only operators themselves enrol: the secret is shown to the caller. */
function ownTarget(context: Pick<Context, 'caller'>, snapshot: Snapshot, name: string): OperatorRow {
  const { operator, isOwn } = targetOf(context, snapshot, name)
  if (!isOwn) throw refuse('forbidden', { detail: 'operators enrol their own second factor' })
  if (operator.secondFactorAt) {
    throw refuse('conflict', { detail: 'there is a second factor: remove it first' })
  }
  return operator
}

export function createSecondFactorActions(parts: SecondFactorParts) {
  const { db, keyring, randomBytes, tries } = parts
  const checkCode = createCheckCode(parts)

  const wrongCode = (): Error =>
    refuse('forbidden', { errors: [{ pointer: '/code', detail: 'is not a present code' }] })

  /** Creates a secret. It counts once a code of it is confirmed. */
  const enrol: ChangeAction<string, { secret: string; uri: string }> = async (context, tx, snapshot, name) => {
    const operator = ownTarget(context, snapshot, name)
    const id = newId('totp', randomBytes)
    const secret = randomBytes(totpSecretBytes)
    const sealed = sealValue(keyring, totpPlace(id), secret)
    const description = describeTotp(secret, operator.name, `Purser ${snapshot.trustDomain}`)
    secret.fill(0)
    await writeTotp(tx, { ...sealed, id, operatorId: operator.id, createdAt: context.time })
    return { result: description, entry: { resource: operatorResource(operator), detail: { step: 'enrolled' } } }
  }

  /** Checks a code outside the transaction. Wrong ones count like those of logins. */
  async function check(context: Context, snapshot: Snapshot, { operator: name, code }: Named): Promise<Checked> {
    const { operator, isOwn } = targetOf(context, snapshot, name)
    refuseForOthers(parts, isOwn)
    const totp = await readTotp(db.knex, operator.id)
    if (!totp) throw refuse('conflict', { detail: 'there is no second factor: enrol one first' })
    if (!isOwn) return { operator: operator.name }
    if (code === undefined) throw wrongCode()
    const { takeBack } = await tries.admitCode(operator.id)
    const checked = await checkCode(totp, code, context.time)
    if (!checked) throw wrongCode()
    await takeBack()
    return { operator: operator.name, code: checked }
  }

  /** @returns the recovery codes, which are in this result alone */
  const confirm: ChangeAction<Checked, { recoveryCodes: string[] }> = async (
    context,
    tx,
    snapshot,
    { operator: name, code },
  ) => {
    const operator = ownTarget(context, snapshot, name)
    if (code?.kind !== 'totp') throw wrongCode()
    await spendCode(tx, { operatorId: operator.id, operator: name }, code, context.time)
    const recoveryCodes = newRecoveryCodes(randomBytes)
    const hashes = recoveryCodes.map((recovery) => hashRecoveryCode(operator.id, recovery))
    await confirmTotp(tx, operator.id, hashes, context.time)
    return {
      result: { recoveryCodes },
      entry: { resource: operatorResource(operator), detail: { step: 'confirmed' } },
      changed: changedRows(operator),
    }
  }

  /** With a code for oneself; an admin removes that of another operator without one, and its sessions end. */
  const remove: ChangeAction<Checked> = async (context, tx, snapshot, { operator: name, code }) => {
    const { operator, isOwn } = targetOf(context, snapshot, name)
    if (isOwn && !code) throw wrongCode()
    if (code) await spendCode(tx, { operatorId: operator.id, operator: name }, code, context.time)
    await removeSecondFactor(tx, operator.id)
    const endedSessions = isOwn ? [] : await endLogins(tx, operator.name, context.time)
    return {
      result: undefined,
      entry: {
        resource: operatorResource(operator),
        detail: { step: 'removed', ...(endedSessions.length > 0 && { endedSessions }) },
      },
      changed: changedRows(operator),
    }
  }

  return { enrol, check, confirm, remove }
}
