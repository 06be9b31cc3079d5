/** Requests that need a second operator. */
import { expect } from 'vitest'
import type { Ask } from './operator.ts'
import type { Answer, TestPurser } from './purser.ts'

export type Written = { method: string; path: string; ifMatch?: string; body?: unknown }

export const reason = 'incident 42'

/** Requests an approval. Returns its id. */
export async function requested(ask: Ask, request: Written, token?: string): Promise<string> {
  const answer = await ask('requestApproval', { body: { request, reason }, ...(token !== undefined && { token }) })
  expect(answer.status, answer.text).toBe(201)
  return String(answer.body['id'])
}

/** Requests an approval, and has it approved. Returns its id. */
export async function approved(
  ask: Ask,
  request: Written,
  { requester, approver }: { requester?: string; approver: string },
): Promise<string> {
  const id = await requested(ask, request, requester)
  const answer = await ask('approveRequest', { name: id, token: approver })
  expect(answer.status, answer.text).toBe(200)
  return id
}

type Sent = { approval?: string; token?: string; headers?: Record<string, string> }

/** Sends a request exactly as it is written. */
export const send = (
  purser: Pick<TestPurser, 'call' | 'admin'>,
  { method, path, ifMatch, body }: Written,
  { approval, token = purser.admin, headers }: Sent = {},
): Promise<Answer> =>
  purser.call(method, path, body, {
    token,
    headers: {
      'purser-reason': reason,
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
      ...(approval !== undefined && { 'purser-approval': approval }),
      ...headers,
    },
  })
