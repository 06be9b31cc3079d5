/** What to do about a refusal: for the operator who asked why, and in docs/errors.md for whoever met it. */
import type { RefusalCode } from '../errors.ts'

const newProof = 'ask the orchestrator for a new token and send it at once'

const again = 'ask again after the seconds of Retry-After'

export const advice: Readonly<Record<RefusalCode, string>> = {
  invalid_json: 'send one JSON value in UTF-8: no duplicate names, no trailing comma, at most 32 levels',
  invalid_request: 'correct what `errors` points at; openapi.yaml describes the route',
  bad_path: 'write each segment plainly, once: no `%`, `..`, empty segment or trailing slash',
  bad_cursor: 'pass `nextCursor` unchanged, to the same list with the same filters, or start without one',
  bad_authorization: 'send one header, `Authorization: Bearer <token>`, and nothing else in it',
  too_large: 'send less: the route’s limit is in openapi.yaml',
  unsupported_media_type: 'send `Content-Type: application/json`, uncompressed',
  not_found: 'check name and path; a caller that may not know of a thing is told the same',
  bad_http: 'send one request as RFC 9112 has it, with one Host header',
  length_required: 'send the body with a `Content-Length`, without `Transfer-Encoding`',
  headers_too_large: 'send fewer or shorter headers',
  request_timeout: 'send the whole request within 30 seconds, its headers within 10',
  method_not_allowed: 'use a method that `Allow` names',
  rate_limited: again,
  unauthenticated: 'present a live token or certificate; `purser whoami` says what yours is',
  token_type:
    'use the kind of token that the route takes: an API token for operators’ routes, a session’s for its own; with PURSER_ADMIN_LISTEN set, send API tokens to that listener',
  forbidden: 'have an admin give the role that the route asks for',
  attestation_failed: 'have an operator run `purser explain` with the request id',
  not_available: 'leave it out; `features` of `GET /api/v1/server` lists what this server offers',
  bad_csr:
    'make a new request for an EC P-256 or P-384, Ed25519 or RSA key of 2048 to 4096 bits; `errors` says what is wrong',
  lease_over: 'ask for a new credential of the database: a lease that has ended, or is ending, is not extended',
  expires_too_soon: 'attest again with a newer proof of the orchestrator, or raise `maxSessionSeconds` in the entry',
  conflict: 'read what is there now, and decide again',
  already_exists: 'choose another name, or replace what is there with PUT',
  already_done: 'use what was made then: `id` names it; make another with a new Idempotency-Key',
  in_use: 'remove what uses it first; `errors` names it',
  idempotency_mismatch: 'use a new Idempotency-Key for another request',
  precondition_required: 'send `If-Match` with the revision that you read, `"0"` to create',
  stale: 'read it again and repeat your change on the present `revision`',
  match_too_wide: 'add one of the conditions that `errors` names',
  impossible: 'correct what `detail` says',
  log_unavailable: `${again}; an operator looks at /readyz and the database`,
  replica_behind: `${again}; if it lasts, look at this replica’s connection to the database`,
  issuing_closed: 'an operator reviews the log, then `purser log open`',
  internal: 'find the request id in the server’s log, and report it',
  proof_malformed: 'send the token exactly as the orchestrator wrote it, without quotes or line ends',
  proof_too_large: 'check that the file holds one token and nothing else',
  proof_header: 'this token names a key or a rule of its own; check which issuer made it',
  proof_algorithm: "add the algorithm to the attestor's algorithms if its issuer does use it",
  proof_key_unknown: 'ask the attestor with :check which keys its issuer publishes',
  proof_signature:
    "compare the attestor's keys with its issuer's: another issuer of the same name may have made this token",
  proof_claims: 'ask the orchestrator for a token that holds the claim',
  proof_issuer:
    'ask for a token with the audience of an attestor, or configure an attestor for this issuer and audience',
  proof_audience: 'ask for a token for Purser alone, or set otherAudiences to allow at the attestor',
  proof_expired: newProof,
  proof_not_yet_valid: "compare the clocks of Purser's host and of the orchestrator",
  proof_too_old: `${newProof}, or raise maxTokenAgeSeconds at the attestor`,
  proof_replayed: `this attestor takes each token once: ${newProof}`,
  proof_not_pod_bound: 'mount a projected token, or set requirePodBound to false in the entry',
  proof_rejected: 'ask the attestor with :check, and see whether the pod and its service account still exist',
  join_token: 'make a new token with POST /api/v1/join-tokens',
  attestor_unknown: 'name the attestor that takes this proof, or none',
  client_certificate: 'connect with a live certificate of this trust domain, over TLS that ends at Purser',
  identity_superseded: 'restart the workload, so that it gets a token of the present account',
  identity_changed: 'if the account was recreated on purpose, set pinIdentity to false or match its new id',
  no_workload: 'register a workload entry that matches these facts, or correct the nearest one',
  workload_disabled: 'enable the entry with :enable once the reason for disabling it is gone',
  blocked: 'once the reason for it is gone, release the block: purser revocation release <id> --reason …',
  serial_spent:
    'see who renewed this serial number and from where (audit search --serial-number); its key was copied, or a state directory',
  session_ended: 'attest again with a proof of the orchestrator',
  template_value: 'change the template, or have the workload run under a name of plain characters',
  several_workloads: 'have the workload name the entry that it wants, or narrow their matches',
  not_granted: 'grant it in the workload entry if the workload should have it',
  unavailable: 'ask the attestor with :check what can’t be reached',
}

export const adviceFor = (reason: RefusalCode): string => advice[reason]
