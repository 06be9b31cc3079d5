/** Refusals with the codes, statuses and titles of the real server (docs/errors.md). */

const table = {
  invalid_json: [400, 'The body is not strict JSON'],
  invalid_request: [400, 'The request does not match the API description'],
  not_found: [404, 'There is no such resource'],
  method_not_allowed: [405, 'This path does not support this method'],
  rate_limited: [429, 'Too many requests; wait as Retry-After says'],
  unauthenticated: [401, 'No valid credential was presented'],
  attestation_failed: [401, 'The proof was not accepted; an operator can ask purser explain with the request id'],
  lease_over: [409, 'The lease has ended or is ending: request a new one'],
  not_granted: [403, 'The grants of the workload do not include this'],
  not_available: [422, 'This server does not support this yet'],
  bad_csr: [422, 'The certificate request is not acceptable'],
  expires_too_soon: [422, 'The session or signing key ends too soon to issue anything under it'],
  log_unavailable: [503, 'The log cannot be written now; nothing was done'],
  unavailable: [503, 'A service behind Purser cannot be reached now'],
  issuing_closed: [503, 'Issuing is closed until an operator has reviewed the log'],
  internal: [500, 'Purser failed; the request id finds it in the server log'],
} as const satisfies Record<string, readonly [number, string]>

export type RefusalCode = keyof typeof table

type Part = { pointer: string; detail: string }
type More = {
  /** The true code, if callers see only `attestation_failed`. */
  reason?: string
  detail?: string
  errors?: Part[]
  retryAfterSeconds?: number | undefined
}

export const isRefusalCode = (code: string): code is RefusalCode => Object.hasOwn(table, code)

export class Refusal extends Error {
  readonly code: RefusalCode
  readonly reason: string
  readonly detail: string | undefined
  readonly errors: Part[]
  readonly retryAfterSeconds: number | undefined
  constructor(code: RefusalCode, { reason = code, detail, errors = [], retryAfterSeconds }: More = {}) {
    super(reason)
    this.name = 'Refusal'
    this.code = code
    this.reason = reason
    this.detail = detail
    this.errors = errors
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** The refusal of a proof or certificate. The caller does not learn the reason. */
export const hidden = (reason: string): Refusal => new Refusal('attestation_failed', { reason })

export const invalid = (pointer: string, detail: string): Refusal =>
  new Refusal('invalid_request', { errors: [{ pointer, detail }] })

/** Throws if an item has the fault. The refusal points to each such item. @throws Refusal */
export function refuseItems<T>(
  code: RefusalCode,
  detail: string,
  pointer: string,
  items: readonly T[],
  isFaulty: (item: T) => boolean,
): void {
  const errors = items.flatMap((item, n) => (isFaulty(item) ? [{ pointer: `${pointer}/${n}`, detail }] : []))
  if (errors.length > 0) throw new Refusal(code, { errors })
}

/** A problem document (RFC 9457). */
export function problemOf({ code, detail, errors, retryAfterSeconds }: Refusal, requestId: string) {
  const [status, title] = table[code]
  const retry = retryAfterSeconds ?? (status === 503 || status === 429 ? 1 : undefined)
  const problem = {
    type: `urn:purser:problem:${code}`,
    title,
    status,
    code,
    requestId,
    ...(detail !== undefined && { detail }),
    ...(errors.length > 0 && { errors }),
  }
  return { status, problem, headers: retry === undefined ? {} : { 'retry-after': String(Math.ceil(retry)) } }
}
