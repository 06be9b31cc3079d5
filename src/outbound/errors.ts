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
 * Why a fetch gave nothing. `detail` is for operators and holds our own words, system error codes and addresses: never
 * what the other side sent, nor a header that we sent.
 */
export class OutboundError extends Error {
  /** Our own words: a log may show them. */
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
