export type OutboundCode =
  | 'bad_url'
  | 'bad_request'
  | 'not_https'
  | 'not_allowed'
  | 'unreachable'
  | 'tls'
  | 'timeout'
  | 'aborted'
  | 'redirect'
  | 'bad_status'
  | 'too_large'
  | 'bad_body'

/**
 * A failed fetch. `detail` is for operators. It has fixed texts, system error codes and addresses, but never content of
 * the other side or a header of the request.
 */
export class OutboundError extends Error {
  /** `detail` has nothing confidential. */
  readonly safeToLog = true
  readonly code: OutboundCode
  readonly detail: string
  /** With `bad_status` and `redirect`. */
  readonly status: number | undefined

  constructor(code: OutboundCode, detail: string, status?: number) {
    super(`${code}: ${detail}`)
    this.name = 'OutboundError'
    this.code = code
    this.detail = detail
    this.status = status
  }
}
