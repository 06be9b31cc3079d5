/**
 * Adds a passkey. Its holder logs in without a password, so the operator proves first who it is: with the present password,
 * and a code where it has a second factor.
 */
import { refuse } from '../../errors.ts'
import type { Keys } from '../../keys/keys.ts'
import { newId } from '../../names/id.ts'
import { type NoncePurpose, newNonce, nonceClaim, nonceEnd } from '../../operators/nonces.ts'
import {
  type AttestationResponse,
  type NewKey,
  challengeIn,
  creationOptions,
  maxPasskeys,
  verifyAttestation,
} from '../../operators/passkeys.ts'
import { takeClaim } from '../../store/claims.ts'
import { type PasskeyRow, insertPasskey, lockedCount, readPasskeys } from '../../store/passkeys.ts'
import { readLoginAccount } from '../../store/passwords.ts'
import type { OperatorRow } from '../../store/rows.ts'
import { readTotp } from '../../store/second-factors.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { ChangeAction, Context } from '../context.ts'
import { type PresentPasswordParts, createCheckPresentPassword } from '../operators/present-password.ts'
import { targetOf } from '../operators/set-password.ts'
import { changedRows, operatorResource } from '../operators/state.ts'
import { type CheckedCode, type CodeParts, createCheckCode, spendCode } from '../second-factors/check.ts'
import { accountCaller } from '../tokens/rights.ts'
import { type SiteParts, causeOf, credentialHash, siteOf } from './state.ts'

export type EnrolParts = SiteParts &
  CodeParts &
  PresentPasswordParts & { keys: Pick<Keys, 'signing'>; randomBytes: (size: number) => Buffer }

type Proof = { operator: string; currentPassword?: string; code?: string; prefix: string }
type Proven = Pick<Proof, 'operator'> & { code?: CheckedCode }
type Attestation = { operator: string; label: string; credential: AttestationResponse }
type VerifiedKey = Pick<Attestation, 'operator' | 'label'> & { key: NewKey; nonce: string; until: Date }
type Creation = { options: ReturnType<typeof creationOptions>; expiresAt: Date }

/** Only operators themselves enrol: the passkey is at the caller. */
function ownTarget(context: Pick<Context, 'caller'>, snapshot: Snapshot, name: string): OperatorRow {
  const { operator, isOwn } = targetOf(context, snapshot, name)
  if (!isOwn) throw refuse('forbidden', { detail: 'operators enrol their own passkeys' })
  return operator
}

const tooMany = (): Error =>
  refuse('conflict', { detail: `an operator has at most ${maxPasskeys} passkeys: remove one first` })

/** Another session cannot confirm, and a change of the password ends the enrolment. */
const purposeOf = (context: Pick<Context, 'caller'>, { id, passwordAt }: OperatorRow): NoncePurpose => ({
  kind: 'passkey enrolment',
  facts: [id, accountCaller(context).tokenId, passwordAt?.toISOString() ?? ''],
})

export function createEnrolActions(parts: EnrolParts) {
  const { db, keys, randomBytes, tries } = parts
  const checkPresentPassword = createCheckPresentPassword(parts)
  const checkCode = createCheckCode(parts)

  const wrongCode = (detail: string): Error => refuse('forbidden', { errors: [{ pointer: '/code', detail }] })

  async function checkedCode(operator: OperatorRow, code: string | undefined, now: Date): Promise<CheckedCode> {
    if (code === undefined) throw wrongCode('is needed to add a passkey')
    const totp = await readTotp(db.knex, operator.id)
    const { takeBack } = await tries.admitCode(operator.id)
    const checked = totp && (await checkCode(totp, code, now))
    if (!checked) throw wrongCode('is not a present code')
    await takeBack()
    return checked
  }

  /** Checks password and code outside the transaction. */
  async function prove(context: Context, snapshot: Snapshot, proof: Proof): Promise<Proven> {
    const { currentPassword, code, prefix } = proof
    siteOf(parts)
    const operator = ownTarget(context, snapshot, proof.operator)
    if ((operator.passkeys ?? 0) >= maxPasskeys) throw tooMany()
    const account = await readLoginAccount(db.knex, operator.name, prefix)
    if (account?.hash === undefined) {
      throw refuse('conflict', { detail: 'passkeys are for operators with a password: set one first' })
    }
    const { hash, isKnownAddress } = account
    const presented = { name: operator.name, prefix, currentPassword, purpose: 'add a passkey' }
    await checkPresentPassword({ hash, isKnownAddress }, presented)
    if (!operator.secondFactorAt) return { operator: operator.name }
    return { operator: operator.name, code: await checkedCode(operator, code, context.time) }
  }

  /** Issues the options of a new passkey. Nothing is stored until it is confirmed. */
  const enrol: ChangeAction<Proven, Creation> = async (context, tx, snapshot, { operator: name, code }) => {
    const site = siteOf(parts)
    const operator = ownTarget(context, snapshot, name)
    if (operator.secondFactorAt && !code) throw wrongCode('is needed to add a passkey')
    if (code) await spendCode(tx, { operatorId: operator.id, operator: name }, code, context.time)
    const { key } = keys.signing(snapshot, 'mac', context.time)
    const head = randomBytes(32).toString('base64url')
    const { nonce, expiresAt } = newNonce(key, purposeOf(context, operator), head, context.time)
    const present = await readPasskeys(tx, operator.id)
    return {
      result: { options: creationOptions(site, operator, nonce, present), expiresAt },
      entry: { resource: operatorResource(operator), detail: { step: 'passkey-enrolled' } },
    }
  }

  /** Verifies the response of the browser outside the transaction. */
  async function verify(context: Context, snapshot: Snapshot, attestation: Attestation): Promise<VerifiedKey> {
    const site = siteOf(parts)
    const { label, credential } = attestation
    const operator = ownTarget(context, snapshot, attestation.operator)
    const refused = (cause: string): Error =>
      refuse('impossible', { errors: [{ pointer: '/credential', detail: `is not accepted: ${cause}` }] })
    try {
      const nonce = challengeIn(credential)
      const { key: mac } = keys.signing(snapshot, 'mac', context.time)
      const until = nonceEnd(mac, purposeOf(context, operator), nonce, context.time)
      if (!until) throw refused('its challenge is not of this session, or has ended: begin again')
      return { operator: operator.name, label, key: await verifyAttestation(site, credential), nonce, until }
    } catch (error) {
      throw refused(causeOf(error))
    }
  }

  const confirm: ChangeAction<VerifiedKey, PasskeyRow> = async (context, tx, snapshot, verified) => {
    const { key, nonce, until, label } = verified
    const { time: now } = context
    const operator = ownTarget(context, snapshot, verified.operator)
    const { key: mac } = keys.signing(snapshot, 'mac', now)
    const isCurrent = nonceEnd(mac, purposeOf(context, operator), nonce, now) !== undefined
    const isFirst = isCurrent && (await takeClaim(tx, nonceClaim(nonce), { now, until }))
    if (!isFirst) throw refuse('conflict', { detail: 'this enrolment was confirmed or has ended: begin again' })
    if ((await lockedCount(tx, operator.id)) >= maxPasskeys) throw tooMany()
    const row = { ...key, id: newId('pk', randomBytes), operatorId: operator.id, label, createdAt: now }
    if (!(await insertPasskey(tx, row))) throw refuse('already_exists', { detail: 'this passkey is enrolled already' })
    return {
      result: row,
      entry: {
        resource: operatorResource(operator),
        detail: { step: 'passkey-confirmed', passkey: row.id, credential: credentialHash(row.credentialId) },
      },
      changed: changedRows(operator),
    }
  }

  return { prove, enrol, verify, confirm }
}
