/** The present password of an operator, before a change of what it logs in with. Wrong ones count like those of logins. */
import { refuse } from '../../errors.ts'
import type { Passwords } from '../../operators/passwords.ts'
import type { LoginAccount } from '../../store/passwords.ts'
import type { LoginTries } from '../logins/tries.ts'
import { passwordIn } from '../logins/verify.ts'

export type PresentPasswordParts = { passwords: Passwords; tries: LoginTries }

type Presented = {
  name: string
  /** Of the caller's address. */
  prefix: string
  currentPassword: string | undefined
  /** What the password is needed for. */
  purpose: string
}

export const createCheckPresentPassword =
  ({ passwords, tries }: PresentPasswordParts) =>
  /** @throws Refusal `forbidden`, `invalid_request`, `rate_limited` */
  async (
    { hash, isKnownAddress }: Pick<LoginAccount, 'isKnownAddress'> & { hash: string },
    { name, prefix, currentPassword, purpose }: Presented,
  ): Promise<void> => {
    if (currentPassword === undefined) throw wrong(`is needed to ${purpose}`)
    const current = passwordIn(currentPassword, '/currentPassword')
    const { takeBack } = await tries.admit({ name, prefix, isKnownAddress })
    if (!(await passwords.verify(current, hash, true))) throw wrong('is not the present password')
    await takeBack()
  }

const wrong = (detail: string): Error => refuse('forbidden', { errors: [{ pointer: '/currentPassword', detail }] })
