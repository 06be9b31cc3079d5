/**
 * Verifies the password of a login, before the transaction that creates the session. A wrong name, a wrong password, a
 * disabled operator and one without a password are the same to the caller: status, body, and work.
 */
import { refuse } from '../../errors.ts'
import { isOutdated, type Passwords } from '../../operators/passwords.ts'
import { readPassword } from '../../operators/password-text.ts'
import type { Database } from '../../store/database.ts'
import { type LoginAccount, readLoginAccount } from '../../store/passwords.ts'
import type { LoginTries } from './tries.ts'

export type Login = {
  operator: string
  password: string
  /** Of the caller's address. */
  prefix: string
  lifetimeSeconds?: number
}

/** A login whose password is right. The hash is compared again in the transaction. */
export type VerifiedLogin = Omit<Login, 'password'> & {
  operatorId: string
  hash: string
  /** The password under the present parameters. */
  newHash?: string
  isKnownAddress: boolean
}

export type VerifyParts = { db: Pick<Database, 'knex'>; passwords: Passwords; tries: LoginTries }

export function createVerifyLogin({ db, passwords, tries }: VerifyParts) {
  /** @throws Refusal `invalid_request`, `unauthenticated`, `rate_limited` */
  return async ({ password, ...login }: Login): Promise<VerifiedLogin> => {
    const text = passwordIn(password, '/password')
    const { operator: name, prefix } = login
    const account = await readLoginAccount(db.knex, name, prefix)
    const isKnownAddress = account?.isKnownAddress ?? false
    const { takeBack } = await tries.admit({ name, prefix, isKnownAddress })
    const isRight = await passwords.verify(text, account?.hash, isKnownAddress)
    if (!account || account.disabled || account.hash === undefined || !isRight) throw refused(name, account)
    await takeBack()
    const newHash = isOutdated(account.hash) ? await passwords.hash(text) : undefined
    return {
      ...login,
      operatorId: account.id,
      hash: account.hash,
      ...(newHash !== undefined && { newHash }),
      isKnownAddress,
    }
  }
}

/** @throws Refusal `invalid_request` for a text that no password has */
export function passwordIn(input: string, pointer: string): string {
  const { text, problem } = readPassword(input)
  if (text === undefined) throw refuse('invalid_request', { errors: [{ pointer, detail: problem }] })
  return text
}

/** The log names an operator that exists. Any other text may be a password that was typed into the wrong field. */
function refused(name: string, account: LoginAccount | undefined): Error {
  if (!account) return refuse('unauthenticated', { explanation: { cause: 'no such operator' } })
  const cause = account.disabled ? 'disabled' : account.hash === undefined ? 'no password' : 'wrong password'
  return refuse('unauthenticated', { explanation: { operator: name, cause } })
}
