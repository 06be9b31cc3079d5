/**
 * The table of all refusals: code, HTTP status and the text for the caller. `as` is the code that the caller sees if the true
 * one would help an attacker; the log and `purser explain` always have the true one.
 */
type Row = { status: number; title: string; as?: 'attestation_failed' }

const hidden = (title: string): Row => ({ status: 401, title, as: 'attestation_failed' })

export const refusals = {
  // The request itself
  invalid_json: { status: 400, title: 'The body is not strict JSON' },
  invalid_request: { status: 400, title: 'The request does not match the API description' },
  bad_path: { status: 400, title: 'The path is not canonical' },
  bad_cursor: { status: 400, title: 'The cursor was not issued by this server for this list' },
  bad_authorization: { status: 400, title: 'The Authorization header is not one plain bearer token' },
  bad_http: { status: 400, title: 'The message is not one HTTP/1.1 request' },
  length_required: { status: 411, title: 'A body needs a Content-Length; chunked bodies are not accepted' },
  headers_too_large: { status: 431, title: 'The request has more than 100 headers, or more than 16 KiB of them' },
  request_timeout: { status: 408, title: 'The request did not arrive in time' },
  too_large: { status: 413, title: 'The body is larger than this route accepts' },
  unsupported_media_type: {
    status: 415,
    title: 'The body must be application/json in UTF-8, without a content encoding',
  },
  not_found: { status: 404, title: 'There is no such resource' },
  method_not_allowed: { status: 405, title: 'This path does not support this method' },
  rate_limited: { status: 429, title: 'Too many requests; wait as Retry-After says' },

  // The caller
  unauthenticated: { status: 401, title: 'No valid credential was presented' },
  code_required: { status: 401, title: 'The password is right; a code of the second factor is missing' },
  token_type: { status: 401, title: 'This route does not accept this kind of credential' },
  forbidden: { status: 403, title: 'The caller may not do this' },
  approval_required: { status: 403, title: 'A second operator must approve this request first' },
  approval_mismatch: { status: 403, title: 'The approval is of another request' },
  own_request: { status: 403, title: 'Operators cannot approve their own requests' },

  // Proofs: the caller sees attestation_failed alone
  attestation_failed: {
    status: 401,
    title: 'The proof was not accepted; an operator can ask purser explain with the request id',
  },
  proof_malformed: hidden('The proof is not a compact JWS with strict JSON segments'),
  proof_too_large: hidden('The proof is larger than any issuer makes'),
  proof_header: hidden('The proof carries a header parameter that is refused'),
  proof_algorithm: hidden('The proof is signed with an algorithm that this attestor does not accept'),
  proof_key_unknown: hidden('The proof names a key that its issuer does not publish'),
  proof_signature: hidden('The signature of the proof does not verify'),
  proof_claims: hidden('A claim of the proof is missing or has the wrong type'),
  proof_issuer: hidden('No attestor accepts proofs of this issuer and audience'),
  proof_audience: hidden('The proof is also addressed to audiences other than Purser'),
  proof_expired: hidden('The proof is expired'),
  proof_not_yet_valid: hidden('The proof is not valid yet'),
  proof_too_old: hidden('The proof was issued longer ago than the attestor allows'),
  proof_replayed: hidden('The proof was used before'),
  proof_not_pod_bound: hidden('The proof is not bound to a pod, and the workload entry requires it'),
  proof_rejected: hidden('The orchestrator does not vouch for the proof'),
  join_token: hidden('The join token is unknown, used up or expired'),
  attestor_unknown: hidden('There is no attestor of that name for this kind of proof'),
  identity_superseded: hidden('The account of the proof was replaced by another of the same name'),
  identity_changed: hidden('The account was recreated, and the workload entry pins it'),
  no_workload: hidden('No workload entry matches the verified facts'),
  workload_disabled: hidden('The workload entry is disabled'),
  blocked: hidden('A revocation or containment covers this caller'),
  session_ended: hidden('The session is over'),
  serial_spent: hidden('The certificate was renewed already: its key has another holder'),
  client_certificate: hidden('No live client certificate of this trust domain was presented'),
  template_value: hidden('A verified value is not a plain path segment in the template of the workload entry'),

  // The request for credentials or secrets
  several_workloads: { status: 409, title: 'Several workload entries match; name one' },
  not_granted: { status: 403, title: 'The grants of the workload do not include this' },
  not_available: { status: 422, title: 'This server does not support this yet' },
  bad_csr: { status: 422, title: 'The certificate request is not acceptable' },
  expires_too_soon: { status: 422, title: 'The session or signing key ends too soon to issue anything under it' },

  lease_over: { status: 409, title: 'The lease has ended or is ending: request a new one' },

  // Changes
  conflict: { status: 409, title: 'The change conflicts with the current state' },
  already_exists: { status: 409, title: 'The name is taken' },
  already_done: { status: 409, title: 'This request was fulfilled before; a value shown once is not stored' },
  in_use: { status: 409, title: 'The resource is still in use' },
  idempotency_mismatch: { status: 422, title: 'This Idempotency-Key was used for another request' },
  precondition_required: { status: 428, title: 'If-Match is required' },
  stale: { status: 412, title: 'The resource was changed meanwhile' },
  match_too_wide: { status: 422, title: 'The match lacks the conditions that make it safe' },
  impossible: { status: 422, title: 'The request is valid but cannot be fulfilled' },

  // The server
  log_unavailable: { status: 503, title: 'The log cannot be written now; nothing was done' },
  unavailable: { status: 503, title: 'A service behind Purser cannot be reached now' },
  replica_behind: { status: 503, title: 'This replica has not confirmed its state lately' },
  issuing_closed: { status: 503, title: 'Issuing is closed until an operator has reviewed the log' },
  internal: { status: 500, title: 'Purser failed; the request id finds it in the server log' },
} as const satisfies Record<string, Row>

export type RefusalCode = keyof typeof refusals

/** A fault in the request: an RFC 6901 pointer, and words that never repeat the value. */
export type Problem = { pointer: string; detail: string }

/** The keys by which refusals of a verified proof are limited. Each is opaque or a configured name. */
export type ProvenCaller = {
  attestor: string
  /** The same for equal verified facts. */
  identity: string
  /** Set if the attestor accepts each proof once. */
  singleUseProof?: string
}

export type RefusalInfo = {
  /** For the caller, beside the title. Never contains a text of an anonymous caller, a secret or a token. */
  detail?: string
  /** For the log and `explain`: facts that only operators may see. */
  explanation?: Record<string, unknown>
  /** For the log: verified facts about the caller, as members of the entry's actor. */
  actor?: Record<string, unknown>
  /** For the log and the limits: the configured attestor that the proof names, whether or not it was verified. */
  attestor?: string
  /** Set once a proof was verified. Its refusals are limited by these keys. */
  proven?: ProvenCaller
  errors?: Problem[]
  /** Further members of the problem: the earlier resource (`already_done`), the live revision (`stale`). */
  members?: { id?: string; revision?: number; workloads?: string[] }
  retryAfterSeconds?: number
  headers?: Record<string, string>
}

/** The limit in openapi.yaml. */
const maxProblems = 20

/** The only error whose text a caller sees. Any other error is a fault of the server: a bare 500. */
export class Refusal extends Error {
  readonly code: RefusalCode
  readonly info: RefusalInfo
  constructor(code: RefusalCode, info: RefusalInfo = {}) {
    super(code)
    this.name = 'Refusal'
    this.code = code
    this.info = info.errors ? { ...info, errors: info.errors.slice(0, maxProblems) } : info
  }
}

export const refuse = (code: RefusalCode, info?: RefusalInfo): Refusal => new Refusal(code, info)

/** The code, status and title that the caller sees. */
export function shown(code: RefusalCode): { code: RefusalCode; status: number; title: string } {
  const row: Row = refusals[code]
  if (row.as) return { code: row.as, status: row.status, title: refusals[row.as].title }
  return { code, status: row.status, title: row.title }
}
