/** What to do about each refusal: shown by `explain`, and listed in docs/errors.md. */
import type { RefusalCode } from '../errors.ts'

const newProof = 'request a new token from the orchestrator, and send it at once'

const retry = 'retry after the seconds in Retry-After'

export const advice: Readonly<Record<RefusalCode, string>> = {
  invalid_json: 'send one JSON value in UTF-8: no duplicate names, no trailing comma, at most 32 levels',
  invalid_request: 'correct the members that `errors` lists; openapi.yaml describes the route',
  bad_path: 'write the path without `%`, `..`, empty segments or a trailing slash',
  bad_cursor: 'pass `nextCursor` unchanged, to the same list with the same filters, or start without one',
  bad_authorization: 'send exactly one header `Authorization: Bearer <token>`',
  too_large: 'send a smaller body: the limit of the route is in openapi.yaml',
  unsupported_media_type: 'send `Content-Type: application/json`, uncompressed',
  not_found: 'check name and path; the reply is the same if the caller may not know of the resource',
  bad_http: 'send a request as in RFC 9112, with one Host header',
  length_required: 'send the body with a `Content-Length`, without `Transfer-Encoding`',
  headers_too_large: 'send fewer or shorter headers',
  request_timeout: 'send the whole request within 30 seconds, its headers within 10',
  method_not_allowed: 'use a method that `Allow` names',
  rate_limited: retry,
  code_required: 'send the password again with `code`, of the authenticator app or a recovery code',
  unauthenticated:
    'present a live token or certificate; `purser whoami` says what yours is. At a login: check name and password',
  token_type:
    'use the kind of token that the route takes: an API token for operators’ routes, or a session whose workload entry grants `operator`; a session’s for its own; with PURSER_ADMIN_LISTEN set, send API tokens to that listener',
  forbidden: 'use a token with a role that has the permission of the route; openapi.yaml names it',
  approval_required:
    'request an approval (`POST /api/v1/approvals`, or `purser` does it), have a second operator approve it, and send the request again with `Purser-Approval`',
  approval_mismatch:
    'send exactly the request that was approved: `purser approval get` shows it; for another one, request another approval',
  own_request: 'have another operator run `purser approval approve`',
  attestation_failed: 'have an operator run `purser explain` with the request id',
  not_available: 'leave it out; `GET /api/v1/server` lists the features of this server',
  bad_csr:
    'create a request for an EC P-256, EC P-384 or Ed25519 key, or an RSA key of 2048 to 4096 bits; `errors` says what is wrong',
  lease_over: 'request a new credential: a lease that has ended or is ending cannot be renewed',
  expires_too_soon: 'attest again with a newer proof, or raise `maxSessionSeconds` in the workload entry',
  conflict: 'read the current state, and try again if the change still applies',
  already_exists: 'choose another name, or replace the existing resource with PUT',
  already_done:
    'use the resource that the first request created (`id`), or send a new Idempotency-Key to create another',
  in_use: 'first remove the resources that use it; `errors` lists them',
  idempotency_mismatch: 'use a new Idempotency-Key for another request',
  precondition_required: 'send `If-Match` with the revision that you read, or `"0"` to create',
  stale: 'read the resource again and apply the change to the current `revision`',
  match_too_wide: 'add one of the conditions that `errors` lists',
  impossible: 'correct what `detail` says',
  log_unavailable: `${retry}; an operator checks /readyz and the database`,
  replica_behind: `${retry}; if it continues, check the connection of this replica to the database`,
  issuing_closed: 'have an operator review the log and run `purser log open`',
  internal: 'search the server’s log for the request id, and report the error',
  proof_malformed: 'send the token exactly as the orchestrator wrote it, without quotes or line ends',
  proof_too_large: 'check that the file holds one token and nothing else',
  proof_header: 'check which issuer signed the token: its header names a key or an extension of its own',
  proof_algorithm: "add the algorithm to the attestor's `algorithms` if its issuer uses it",
  proof_key_unknown: 'run `purser attestor check`, which shows the keys that the issuer publishes',
  proof_signature:
    "compare the attestor's keys with those of its issuer: another issuer with the same name may have signed the token",
  proof_claims: 'request a token with the claim from the orchestrator',
  proof_issuer:
    'request a token with the audience of an attestor, or configure an attestor for this issuer and audience',
  proof_audience: 'request a token for Purser alone, or set `otherAudiences` to `allow` at the attestor',
  proof_expired: newProof,
  proof_not_yet_valid: "compare the clocks of Purser's host and of the orchestrator",
  proof_too_old: `${newProof}, or raise \`maxTokenAgeSeconds\` at the attestor`,
  proof_replayed: `the attestor accepts each token once: ${newProof}`,
  proof_not_pod_bound: 'mount a projected token, or set `requirePodBound` to false in the workload entry',
  proof_rejected: 'run `purser attestor check`, and check that the pod and its service account still exist',
  join_token: 'create a new token with `purser join-token create`',
  attestor_unknown: 'name the attestor that accepts this proof, or leave the name out',
  client_certificate: 'connect with a live certificate of this trust domain, over TLS that ends at Purser',
  identity_superseded: 'restart the workload, so that it gets a token of the current account',
  identity_changed: 'if the account was recreated on purpose, set `pinIdentity` to false, or match its new id',
  no_workload: 'register a workload entry that matches these facts, or correct the nearest entry',
  workload_disabled: 'run `purser workload enable` once the reason for disabling the entry is gone',
  blocked:
    'once its cause is resolved, release the block: purser revocation release rev_… --reason …, or purser contain release con_… --reason …',
  serial_spent:
    'search who renewed this serial number, and from where (audit search --serial-number): its key or the state directory was copied',
  session_ended: 'attest again with a new proof of the orchestrator',
  template_value:
    'change the template, or run the workload under a name of letters, digits, dots, hyphens and underscores',
  several_workloads: 'have the workload name one entry, or narrow the matches of the entries',
  not_granted: 'add the grant to the workload entry if the workload should have it',
  unavailable: 'run `purser attestor check`, which shows what the attestor cannot reach',
}

export const adviceFor = (reason: RefusalCode): string => advice[reason]
