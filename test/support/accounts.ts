/** Operators and their API tokens, created through the API. */
import { expect } from 'vitest'
import type { LogEntry } from '../../src/audit/entry.ts'
import { type Ask, entriesOf } from './operator.ts'
import type { Answer, TestPurser } from './purser.ts'

export type Token = { id: string; token: string; operator: string; role: string; routes?: string[]; expiresAt: string }

/** @param spec the body of the request; `by` creates it instead of the admin */
export async function tokenFor(ask: Ask, operator: string, spec: object = {}, by?: string): Promise<Token> {
  const answer = await ask('createToken', { body: { operator, ...spec }, ...(by !== undefined && { token: by }) })
  expect(answer.status, answer.text).toBe(201)
  return answer.body as unknown as Token
}

/** Creates an operator with one token. */
export async function account(ask: Ask, name: string, role: string): Promise<Token> {
  const answer = await ask('createOperator', { body: { name, role } })
  expect(answer.status, answer.text).toBe(201)
  return tokenFor(ask, name)
}

/** The operators and tokens as stored, to show that a refusal changed nothing. */
export async function stored({ knex }: Pick<TestPurser, 'knex'>): Promise<object> {
  const tokens: object[] = await knex('api_token')
    .orderBy('id')
    .select('id', 'operator', 'role', 'own_role', 'routes', 'revoked_at')
  return { operators: await knex('operator').orderBy('id'), tokens }
}

/** The entry of a request, without that of the first use of its token. */
export async function entryFor(purser: Pick<TestPurser, 'knex'>, { headers }: Answer): Promise<LogEntry | undefined> {
  const entries = await entriesOf(purser, headers.get('purser-request-id'))
  return entries.find(({ action }) => action !== 'token.use')
}
