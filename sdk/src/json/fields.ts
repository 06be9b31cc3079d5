/** Readers of JSON fields. Their errors name the faulty field, and contain no value. */
import { PurserError } from '../errors.ts'
import { isObject } from '../verify/canonical.ts'

export type Fields = Record<string, unknown>

const wrong = (name: string, expected: string): PurserError =>
  new PurserError('bad_reply', `the server's answer is not in Purser's format: ${name} is not ${expected}`)

export function fields(value: unknown, name: string): Fields {
  if (!isObject(value)) throw wrong(name, 'an object')
  return value
}

export function text(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(name, 'text')
  return value
}

export function whole(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw wrong(name, 'a whole number')
  return Number(value)
}

export function list<T>(value: unknown, name: string, read: (item: unknown, name: string) => T): T[] {
  if (!Array.isArray(value)) throw wrong(name, 'a list')
  return value.map((item: unknown, n) => read(item, `${name}/${n}`))
}

/** RFC 3339 in UTC, as Purser writes it. */
export function time(value: unknown, name: string): Date {
  const parsed = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/.test(text(value, name))
    ? new Date(String(value))
    : undefined
  if (!parsed || Number.isNaN(parsed.getTime())) throw wrong(name, 'a time in UTC')
  return parsed
}

export function parseFields(json: string, name: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw wrong(name, 'JSON')
  }
  return fields(value, name)
}

export type Holder = {
  spiffeId: string
  workload: { id: string; name: string; revision: number }
  session: { id: string; expiresAt: Date }
}

/** The owner of credentials, as server answers and the identity file name it. */
export function holder(json: Fields): Holder {
  const workload = fields(json.workload, 'workload')
  const session = fields(json.session, 'session')
  return {
    spiffeId: text(json.spiffeId, 'spiffeId'),
    workload: {
      id: text(workload.id, 'workload/id'),
      name: text(workload.name, 'workload/name'),
      revision: whole(workload.revision, 'workload/revision'),
    },
    session: { id: text(session.id, 'session/id'), expiresAt: time(session.expiresAt, 'session/expiresAt') },
  }
}
