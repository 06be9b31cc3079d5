/**
 * Kubernetes: a pod's projected service account token. It is verified by the cluster's keys, by a TokenReview, which also
 * detects deleted pods and accounts, or by both; then their facts must agree.
 */
import { Refusal, refuse } from '../errors.ts'
import { createSelectors } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import { type ApiServer, type ApiServerDefinition, openApiServer } from './api-server.ts'
import {
  type Attested,
  type Attestor,
  type AttestorParts,
  type CommonDefinition,
  type Finding,
  describeRefusal,
} from './attestor.ts'
import { type IssuerKeys, openKeys } from './issuer-keys.ts'
import { algorithms } from './key-set.ts'
import { documentUrl } from './key-source.ts'
import { type KubeFacts, disagreement, readKubeClaims } from './kube-facts.ts'
import type { ProofText } from './proof-text.ts'
import { readReview, reviewRequest } from './token-review.ts'
import { type VerifiedClaims, type VerifyRules, readClaims, singleUseOf, verifyJwt } from './verify-jwt.ts'

export type KubernetesDefinition = CommonDefinition & {
  kind: 'kubernetes'
  verify: 'jwks-then-tokenreview' | 'tokenreview' | 'jwks'
  apiServer?: ApiServerDefinition
}

/** Stored definitions passed checkKubernetes. */
const isKubernetes = (value: Record<string, unknown>): value is KubernetesDefinition => value.kind === 'kubernetes'

function definitionOf({ name, definition }: AttestorRow): KubernetesDefinition {
  if (isKubernetes(definition)) return definition
  throw new Error(`attestor ${name} is not of kind kubernetes`)
}

const reviewPath = '/apis/authentication.k8s.io/v1/tokenreviews'
/** Concurrent reviews at one API server. Further callers are refused, so that they do not wait in memory. */
const maxReviews = 256

const reported = new Set(['k8s:ns', 'k8s:sa', 'k8s:sa-uid', 'k8s:pod-name', 'k8s:pod-uid', 'k8s:node'])

export const kubernetesReports = (key: string): boolean => reported.has(key)

export function createKubernetesAttestor(row: AttestorRow, parts: AttestorParts): Attestor {
  const definition = definitionOf(row)
  const { audience, verify } = definition
  const apiServer = definition.apiServer && openApiServer(row.name, definition.apiServer, parts)
  const keys = openClusterKeys(definition, apiServer, parts)
  const rules: VerifyRules = { ...definition, algorithms: definition.algorithms ?? algorithms }
  const review = apiServer && verify !== 'jwks' ? createReview(apiServer, audience) : undefined
  if (verify !== 'jwks' && !review) throw new Error('an attestor that reviews tokens without an API server')

  return {
    row,
    async attest(proof, now) {
      const verified =
        verify === 'tokenreview' ? readClaims(proof, rules, now) : await verifyJwt(proof, keys, rules, now)
      const facts = readKubeClaims(verified.claims, verified.subject)
      if (review) await review(proof, verified, facts)
      return attested(row, definition, verified, facts, review ? now : verified.issuedAt)
    },
    async check() {
      return [
        ...(verify === 'tokenreview' ? [] : await keys.check()),
        ...(apiServer && review ? [await checkReview(apiServer, audience)] : []),
      ]
    },
  }
}

/**
 * With an API server, the keys are at its own paths, even if the discovery document names an address that only the cluster
 * can reach. Without one, they are at the issuer.
 */
function openClusterKeys(
  { name, issuer, keys: definition, algorithms: allowedAlgorithms }: KubernetesDefinition,
  apiServer: ApiServer | undefined,
  parts: AttestorParts,
): IssuerKeys {
  const paths = apiServer && { document: documentUrl(apiServer.url), fallback: `${apiServer.url}/openid/v1/jwks` }
  return openKeys(name, {
    ...parts,
    definition,
    issuer,
    allowedAlgorithms,
    places: apiServer ? [apiServer] : [],
    ...paths,
  })
}

/** Compares the cluster's TokenReview with the token's claims. */
function createReview(apiServer: ApiServer, audience: string) {
  let pending = 0
  return async ({ token }: ProofText, verified: VerifiedClaims, facts: KubeFacts): Promise<void> => {
    if (pending >= maxReviews) throw refuse('unavailable', { retryAfterSeconds: 1 })
    pending++
    try {
      const { status, json } = await apiServer.post(reviewPath, reviewRequest(token, audience))
      if (status !== 201) throw refuse('proof_rejected', { explanation: { detail: `TokenReview: status ${status}` } })
      const reviewed = readReview(json, audience)
      const difference = disagreement(facts, reviewed.facts) ?? (sameToken(verified, reviewed) ? undefined : 'token id')
      if (difference !== undefined)
        throw refuse('proof_rejected', { explanation: { detail: `token and TokenReview differ: ${difference}` } })
    } finally {
      pending--
    }
  }
}

const sameToken = (verified: VerifiedClaims, reviewed: { tokenId?: string }): boolean =>
  reviewed.tokenId === undefined || reviewed.tokenId === verified.tokenId

function attested(
  row: AttestorRow,
  { singleUse }: KubernetesDefinition,
  verified: VerifiedClaims,
  { namespace, account, pod, node }: KubeFacts,
  provenAt: Date,
): Attested {
  const facts: [string, string][] = [
    ['k8s:ns', namespace],
    ['k8s:sa', account.name],
    ['k8s:sa-uid', account.uid],
  ]
  if (pod) facts.push(['k8s:pod-name', pod.name], ['k8s:pod-uid', pod.uid])
  if (node !== undefined) facts.push(['k8s:node', node])
  // Without a pod nothing identifies the instance, so each token is one.
  const tokenInstance = ['account', account.uid, verified.tokenId ?? String(verified.issuedAt.getTime())]
  return {
    attestor: row,
    selectors: createSelectors(facts),
    // A pod may outlive its account. Under a recreated account it is another instance.
    instance: pod ? ['pod', pod.uid, account.uid] : tokenInstance,
    account: { name: `${namespace}/${account.name}`, uid: account.uid, provenAt },
    expiresAt: verified.expiresAt,
    podBound: pod !== undefined,
    ...(singleUse && { singleUse: singleUseOf(verified) }),
  }
}

/** Reviews a token that no issuer signed: the server must admit Purser and reject the token. */
async function checkReview(apiServer: ApiServer, audience: string): Promise<Finding> {
  const what = 'TokenReview'
  try {
    const { json } = await apiServer.post(reviewPath, reviewRequest('e30.e30.AA', audience))
    readReview(json, audience)
    return { ok: false, what, detail: 'the server accepts a token that no issuer signed: do not trust it' }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const words = describeRefusal(error)
    const admitted = error.code === 'proof_rejected' && words.includes('does not vouch')
    return { ok: admitted, what, detail: admitted ? 'the server answers us' : words }
  }
}
