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

/** No answer came: the connection failed or broke. */
export const isUnreached = (error: unknown): boolean =>
  error instanceof PurserError && ['unreachable', 'timeout', 'incomplete'].includes(error.code)

/** Nobody Purser is, or no answer of Purser's: whatever is there instead, it says nothing about this workload. */
const notPurser = new Set([
  'untrusted_server', 'fingerprint_mismatch', 'redirected', 'too_large', 'bad_reply', 'receipt_invalid',
  'receipt_mismatch', 'refused', 'not_found', 'method_not_allowed',
]) // prettier-ignore

/** Purser is there, and says that a database isn't: one that is down, unknown, or full. */
const isOfDatabase = ({ errors }: PurserError): boolean =>
  errors.length > 0 && errors.every(({ pointer }) => /^\/databases(?:\/|$)/.test(pointer))

/** Purser can't be reached, can't record now, or isn't what answers. A refusal is another matter. */
export const isAway = (error: unknown): boolean =>
  isUnreached(error) ||
  (error instanceof PurserError &&
    !isOfDatabase(error) &&
    (notPurser.has(error.code) || error.status === 429 || (error.status ?? 0) >= 500))

/** Whether it is more than absence: somebody should look at what answers there. */
export const isSuspect = (error: PurserError): boolean => notPurser.has(error.code)

/** Purser's word on this workload, a log that isn't the one that was seen before, or a fault or wish of the caller's own. */
const conclusive = new Set([
  'attestation_failed', 'not_granted', 'several_workloads', 'log_forked', 'log_epoch', 'bad_state', 'bad_options',
  'not_offered', 'no_log_key', 'aborted', 'closed',
]) // prettier-ignore

/** Whether a failed renewal is to be told at once, rather than that what is held goes on to serve. */
export const isConclusive = (error: unknown): boolean => !(error instanceof PurserError) || conclusive.has(error.code)
