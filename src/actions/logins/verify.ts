/**
 * Verifies the password and the second factor of a login, before the transaction that creates the session. A wrong name, a
 * wrong password, a disabled operator and one without a password are the same to the caller: status, body, and work.
 */
import { refuse } from '../../errors.ts'
import { isOutdated, type Passwords } from '../../operators/passwords.ts'
import { readPassword } from '../../operators/password-text.ts'
import type { Database } from '../../store/database.ts'
import { type LoginAccount, readLoginAccount } from '../../store/passwords.ts'
import { readTotp } from '../../store/second-factors.ts'
import { type CheckedCode, type CodeParts, createCheckCode } from '../second-factors/check.ts'
import type { LoginTries } from './tries.ts'

export type Login = {
  operator: string
  password: string
  /** Of the authenticator app, or a recovery code. */
  code?: string
  /** Of the caller's address. */
  prefix: string
  lifetimeSeconds?: number
  isBrowser?: boolean
}

/** A login whose password and code are right. The hash is compared again in the transaction, which uses up the code. */
export type VerifiedLogin = Omit<Login, 'password' | 'code'> & {
  checkedCode?: CheckedCode
  operatorId: string
  hash: string
  /** The password under the present parameters. */
  newHash?: string
  isKnownAddress: boolean
}

export type VerifyParts = CodeParts & { db: Pick<Database, 'knex'>; passwords: Passwords; tries: LoginTries }

export function createVerifyLogin(parts: VerifyParts) {
  const { db, passwords, tries } = parts
  const checkCode = createCheckCode(parts)

  /** Guesses of a code count like those of a password: `takeBack` runs where the code is missing or right. */
  async function checkSecondFactor(
    { id, name, hasSecondFactor }: { id: string; name: string; hasSecondFactor: boolean },
    code: string | undefined,
    takeBack: () => Promise<unknown>,
    now: Date,
  ): Promise<CheckedCode | undefined> {
    const totp = hasSecondFactor ? await readTotp(db.knex, id) : undefined
    if (!totp || code === undefined) await takeBack()
    if (!totp) return undefined
    if (code === undefined) throw refuse('code_required', { explanation: { operator: name } })
    const codes = await tries.admitCode(id)
    const checked = await checkCode(totp, code, now)
    if (!checked) throw refuse('unauthenticated', { explanation: { operator: name, cause: 'wrong code' } })
    await codes.takeBack()
    await takeBack()
    return checked
  }

  /** @throws Refusal `invalid_request`, `unauthenticated`, `code_required`, `rate_limited` */
  return async ({ time }: { time: Date }, { password, code, ...login }: Login): Promise<VerifiedLogin> => {
    const text = passwordIn(password, '/password')
    const { operator: name, prefix } = login
    const account = await readLoginAccount(db.knex, name, prefix)
    const isKnownAddress = account?.isKnownAddress ?? false
    const { takeBack } = await tries.admit({ name, prefix, isKnownAddress })
    const isRight = await passwords.verify(text, account?.hash, isKnownAddress)
    if (!account || account.disabled || account.hash === undefined || !isRight) throw refused(name, account)
    const checkedCode = await checkSecondFactor({ ...account, name }, code, takeBack, time)
    const newHash = isOutdated(account.hash) ? await passwords.hash(text) : undefined
    return {
      ...login,
      operatorId: account.id,
      hash: account.hash,
      ...(newHash !== undefined && { newHash }),
      ...(checkedCode && { checkedCode }),
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
