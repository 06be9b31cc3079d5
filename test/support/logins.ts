/** Logins of operators through the API, each from an address of the test's choice. */
import { expect } from 'vitest'
import type { Ask } from './operator.ts'
import type { Answer, TestPurser } from './purser.ts'

/** Lets a test set the address of the caller. */
export const anyAddress = { PURSER_TRUSTED_PROXIES: '127.0.0.0/8' }

export const password = 'seven swans on the lake'

type LoginOptions = { from?: string; headers?: Record<string, string> }

export const logIn = (
  purser: Pick<TestPurser, 'call'>,
  body: object,
  { from = '192.0.2.7', headers }: LoginOptions = {},
): Promise<Answer> =>
  purser.call('POST', '/api/v1/sessions', body, { headers: { 'x-forwarded-for': from, ...headers } })

/** Creates an operator with a password. */
export async function accountWithPassword(ask: Ask, name: string, role: string): Promise<void> {
  const created = await ask('createOperator', { body: { name, role } })
  expect(created.status, created.text).toBe(201)
  const set = await ask('setOperatorPassword', { name, body: { password } })
  expect(set.status, set.text).toBe(200)
}

/** The token of a new session. */
export async function sessionOf(
  purser: Pick<TestPurser, 'call'>,
  operator: string,
  options?: LoginOptions,
): Promise<string> {
  const answer = await logIn(purser, { operator, password }, options)
  expect(answer.status, answer.text).toBe(201)
  return String(answer.body['token'])
}

/** What a caller sees of a refusal. Only the id of the request may differ. */
export const callerView = ({ status, body, headers }: Answer): unknown => ({
  status,
  body: { ...body, requestId: '' },
  retryAfter: headers.get('retry-after'),
})
