/** Enrolments of passkeys and logins with them, through the API. */
import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import {
  type Algorithm,
  type FakeAuthenticator,
  type Options,
  type Twist,
  createFakeAuthenticator,
} from './fake-authenticator.ts'
import { accountWithPassword, password, sessionOf } from './logins.ts'
import type { Ask } from './operator.ts'
import { type Answer, type TestPurser, audience } from './purser.ts'

type Server = Pick<TestPurser, 'call'>

export async function enrolmentOf(ask: Ask, token: string, more: object = {}): Promise<Options> {
  const answer = await ask('enrolPasskey', { name: 'self', token, body: { currentPassword: password, ...more } })
  expect(answer.status, answer.text).toBe(201)
  return answer.body['publicKey'] as Options
}

export const confirm = (ask: Ask, token: string, credential: object, label = 'laptop'): Promise<Answer> =>
  ask('confirmPasskey', { name: 'self', token, body: { label, credential } })

export type Enrolled = { name: string; token: string; authenticator: FakeAuthenticator; passkey: string }

/** An operator with one passkey and the session that enrolled it. */
export async function withPasskey(
  purser: Server,
  ask: Ask,
  name: string,
  { role = 'operator', algorithm }: { role?: string; algorithm?: Algorithm } = {},
): Promise<Enrolled> {
  await accountWithPassword(ask, name, role)
  const token = await sessionOf(purser, name)
  const authenticator = createFakeAuthenticator(audience, algorithm)
  const added = await confirm(ask, token, authenticator.create(await enrolmentOf(ask, token)))
  expect(added.status, added.text).toBe(201)
  return { name, token, authenticator, passkey: String(added.body['id']) }
}

export type Challenge = { publicKey: Options; verifier: string }

export async function challengeOf(purser: Server): Promise<Challenge> {
  const verifier = randomBytes(32).toString('base64url')
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const { body, status, text } = await purser.call('POST', '/api/v1/sessions:passkey-options', { challenge })
  expect(status, text).toBe(200)
  return { publicKey: body['publicKey'] as Options, verifier }
}

let hosts = 0

/** Each from an address of its own, unless the test chooses one. */
export const present = (purser: Server, body: object, from = `198.51.100.${hosts++ % 250}`): Promise<Answer> =>
  purser.call('POST', '/api/v1/sessions:passkey', body, { headers: { 'x-forwarded-for': from } })

export async function passkeyLogin(
  purser: Server,
  authenticator: FakeAuthenticator,
  twist: Twist = {},
  from?: string,
): Promise<Answer> {
  const { publicKey, verifier } = await challengeOf(purser)
  return present(purser, { verifier, credential: authenticator.get(publicKey, twist) }, from)
}
