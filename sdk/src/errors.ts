import type { OwnErrorCode } from './error-codes.ts'

export type { OwnErrorCode }

/** Two signed heads of one log that contradict each other, as notes. Keep them as evidence. */
export type Heads = { kept: string; received: string }

type Details = {
  requestId?: string | undefined
  status?: number | undefined
  detail?: string | undefined
  retryAfterSeconds?: number | undefined
  errors?: readonly { pointer: string; detail: string }[] | undefined
  heads?: Heads | undefined
  cause?: unknown
}

/**
 * The only error that this package throws. `message` says what happened and what to do, and holds no token or key.
 * `code` is stable: one of `OwnErrorCode`, or the code of a server's refusal; then `status` and `requestId` are set.
 */
export class PurserError extends Error {
  readonly code: OwnErrorCode | (string & {})
  /** `req_…`, as in the server's log. `purser explain req_…` shows the reason. */
  readonly requestId: string | undefined
  /** HTTP status of the server's refusal. */
  readonly status: number | undefined
  /** The server's description of the fault. */
  readonly detail: string | undefined
  readonly retryAfterSeconds: number | undefined
  /** The refused parts of the request, as JSON pointers. */
  readonly errors: readonly { pointer: string; detail: string }[]
  readonly heads: Heads | undefined

  constructor(code: OwnErrorCode | (string & {}), message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'PurserError'
    this.code = code
    this.requestId = details.requestId
    this.status = details.status
    this.detail = details.detail
    this.retryAfterSeconds = details.retryAfterSeconds
    this.errors = details.errors ?? []
    this.heads = details.heads
  }
}

/** The message of a cause, as one short line. */
export const wordsOf = (error: unknown): string => oneLine(error instanceof Error ? error.message : String(error))

/** Foreign text for a message that may reach a terminal: without control characters, at most 300 characters. */
export function oneLine(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean
}

/** Any failure as a PurserError; `bad_reply` for one of another kind. */
export const purserErrorFrom = (error: unknown): PurserError =>
  error instanceof PurserError ? error : new PurserError('bad_reply', wordsOf(error), { cause: error })

/** There was no answer: the connection failed or broke. */
export const isUnreached = (error: unknown): boolean =>
  error instanceof PurserError && ['unreachable', 'timeout', 'incomplete'].includes(error.code)

/** Another server answered, or not as Purser does. Its answer means nothing for this workload. */
const notPurser = new Set([
  'untrusted_server', 'fingerprint_mismatch', 'redirected', 'too_large', 'bad_reply', 'receipt_invalid',
  'receipt_mismatch', 'refused', 'not_found', 'method_not_allowed',
]) // prettier-ignore

/** Purser answered that a database is down, unknown or full. */
const isOfDatabase = ({ errors }: PurserError): boolean =>
  errors.length > 0 && errors.every(({ pointer }) => /^\/databases(?:\/|$)/.test(pointer))

/** Purser is unreachable, can't record now, or another server answers. A refusal does not count. */
export const isAway = (error: unknown): boolean =>
  isUnreached(error) ||
  (error instanceof PurserError &&
    !isOfDatabase(error) &&
    (notPurser.has(error.code) || error.status === 429 || (error.status ?? 0) >= 500))

/** More than absence: an operator should look at what answers there. */
export const isSuspect = (error: PurserError): boolean => notPurser.has(error.code)

/** Purser's decision on this workload, a different log, or the caller's own mistake or abort. */
const conclusive = new Set([
  'attestation_failed', 'not_granted', 'several_workloads', 'log_forked', 'log_epoch', 'bad_state', 'bad_options',
  'not_offered', 'no_log_key', 'aborted', 'closed',
]) // prettier-ignore

/** Whether to report a failed renewal at once, instead of going on with the current credentials. */
export const isConclusive = (error: unknown): boolean => !(error instanceof PurserError) || conclusive.has(error.code)
