/** Calls routes by their operation, and validates every reply against openapi.yaml. */
import { expect } from 'vitest'
import { type OperationId, loadOpenApi } from '../../src/http/openapi.ts'
import type { LogEntry } from '../../src/audit/entry.ts'
import type { Answer, TestPurser } from './purser.ts'
import { validateReply } from './replies.ts'

const api = loadOpenApi()

type AskOptions = {
  /** The one parameter of the path. */
  name?: string
  query?: Record<string, string>
  body?: unknown
  ifMatch?: number
  idempotencyKey?: string
  reason?: string
  /** The id of an approval. */
  approval?: string
  /** Replaces the admin's token. */
  token?: string
}

export type Ask = (operationId: OperationId, options?: AskOptions) => Promise<Answer>

export function createAsk(purser: Pick<TestPurser, 'call' | 'admin'>): Ask {
  return async (operationId, options = {}) => {
    const operation = api.operation(operationId)
    const { name, query, body, ifMatch, idempotencyKey, reason, approval, token = purser.admin } = options
    const path = operation.path.replace(/\{[^}]+\}/, name ?? '')
    const search = query ? `?${new URLSearchParams(query).toString()}` : ''
    const answer = await purser.call(operation.method, path + search, body, {
      token,
      headers: {
        ...(ifMatch !== undefined && { 'if-match': `"${ifMatch}"` }),
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        ...(reason !== undefined && { 'purser-reason': reason }),
        ...(approval !== undefined && { 'purser-approval': approval }),
      },
    })
    if (answer.status !== 204) expect(validateReply(operationId, answer.status, answer.body), answer.text).toEqual([])
    return answer
  }
}

/** The refusal in short: status, code, and pointer. */
export const fault = ({ status, body }: Answer): string => {
  const errors = (body.errors ?? []) as { pointer: string }[]
  return [status, body.code, ...errors.map((error) => error.pointer)].join(' ')
}

/** Every entry of the log so far, in order. */
export async function readLog({ knex }: Pick<TestPurser, 'knex'>): Promise<LogEntry[]> {
  const rows: { body: string }[] = await knex('log_entry').select('body').orderBy('epoch').orderBy('idx')
  return rows.map((row): LogEntry => JSON.parse(row.body))
}

export async function entryOf(purser: Pick<TestPurser, 'knex'>, answer: Answer): Promise<LogEntry | undefined> {
  const id = answer.headers.get('purser-request-id')
  return (await readLog(purser)).find((entry) => entry.requestId === id)
}

/** All entries of one request; without a fault exactly one. */
export async function entriesOf(purser: Pick<TestPurser, 'knex'>, requestId: unknown): Promise<LogEntry[]> {
  return (await readLog(purser)).filter((entry) => entry.requestId === requestId)
}
