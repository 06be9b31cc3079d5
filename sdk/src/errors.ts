import type { OwnErrorCode } from './error-codes.ts'

export type { OwnErrorCode }

/** Two signed heads of one log that can't both be its history: keep them, they are the evidence. Notes as text. */
export type Heads = { kept: string; received: string }

type More = {
  requestId?: string | undefined
  status?: number | undefined
  detail?: string | undefined
  retryAfterSeconds?: number | undefined
  errors?: readonly { pointer: string; detail: string }[] | undefined
  heads?: Heads | undefined
  cause?: unknown
}

/**
 * The one error that this package throws. `message` says what happened and what to do, and holds no token or key.
 * `code` is stable: one of `OwnErrorCode`, or the code of a server's refusal, and then `status` and `requestId` are set.
 */
export class PurserError extends Error {
  readonly code: OwnErrorCode | (string & {})
  /** `req_…`, as in the server's log: `purser explain req_…` says why. */
  readonly requestId: string | undefined
  /** HTTP status of the server's refusal. */
  readonly status: number | undefined
  /** The server's own words on what was wrong. */
  readonly detail: string | undefined
  readonly retryAfterSeconds: number | undefined
  /** The parts of the request that were refused, as JSON pointers. */
  readonly errors: readonly { pointer: string; detail: string }[]
  readonly heads: Heads | undefined

  constructor(code: OwnErrorCode | (string & {}), message: string, more: More = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'PurserError'
    this.code = code
    this.requestId = more.requestId
    this.status = more.status
    this.detail = more.detail
    this.retryAfterSeconds = more.retryAfterSeconds
    this.errors = more.errors ?? []
    this.heads = more.heads
  }
}

/** A cause's words, for a message of ours: one line, and not long. */
export const wordsOf = (error: unknown): string => oneLine(error instanceof Error ? error.message : String(error))

/** Text from elsewhere in a message that may reach a terminal: no control characters, cut at 300. */
export function oneLine(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean
}

/** Purser can't be reached or can't record now: what is held still does. A refusal is another matter. */
export const isAway = (error: unknown): error is PurserError =>
  error instanceof PurserError &&
  (['unreachable', 'timeout', 'incomplete'].includes(error.code) || error.status === 429 || (error.status ?? 0) >= 500)
