/** What to do about a refusal, in words for the operator who asked why. */
import type { RefusalCode } from '../errors.ts'

const newProof = 'ask the orchestrator for a new token and send it at once'

const advice: Partial<Record<RefusalCode, string>> = {
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
  blocked: 'see which revocation or containment covers it; a containment is lifted with :release',
  serial_spent:
    'see who renewed this serial number and from where (audit search --serial-number); its key was copied, or a state directory',
  session_ended: 'attest again with a proof of the orchestrator',
  template_value: 'change the template, or have the workload run under a name of plain characters',
  several_workloads: 'have the workload name the entry that it wants, or narrow their matches',
  not_granted: 'grant it in the workload entry if the workload should have it',
  unavailable: 'ask the attestor with :check what can’t be reached',
}

export const adviceFor = (reason: RefusalCode): string =>
  advice[reason] ?? 'search the log for the request id to see what led to it'
