/**
 * What Kubernetes says of a service account's token, read strictly out of its claims (`kubernetes.io`) or out of a
 * TokenReview (token-review.ts): the same shape from both, so that they can be held against each other.
 */
import { type Refusal, refuse } from '../errors.ts'
import { isMembers } from '../json/members.ts'

export type Named = { name: string; uid: string }

export type KubeFacts = {
  namespace: string
  account: Named
  pod?: Named
  /** As the token states it. The API server does not check it against the Node object. */
  node?: string
}

/** RFC 1123 label (namespaces), and the subdomain that most other names are. */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const subdomain = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/
const uid = /^[A-Za-z0-9-]{1,64}$/

const isNamespace = (value: unknown): value is string => typeof value === 'string' && label.test(value)
export const isObjectName = (value: unknown): value is string => typeof value === 'string' && subdomain.test(value)
export const isUid = (value: unknown): value is string => typeof value === 'string' && uid.test(value)

/** `system:serviceaccount:<namespace>:<name>`, and nothing that only looks like it: nodes and people have names too. */
export function readUsername(text: unknown): { namespace: string; account: string } | undefined {
  const parts = typeof text === 'string' ? text.split(':') : []
  const [system, kind, namespace, account] = parts
  if (parts.length !== 4 || system !== 'system' || kind !== 'serviceaccount') return undefined
  return isNamespace(namespace) && isObjectName(account) ? { namespace, account } : undefined
}

const bad = (claim: string): Refusal => refuse('proof_claims', { explanation: { claim } })

type Members = Record<string, unknown>

function named(of: Members, name: string): Named | undefined {
  const value = of[name]
  if (value === undefined) return undefined
  if (!isMembers(value) || !isObjectName(value.name) || !isUid(value.uid)) throw bad(`kubernetes.io/${name}`)
  return { name: value.name, uid: value.uid }
}

/** A pod whose Node object the server did not find names it without a UID. */
function nodeOf(of: Members): string | undefined {
  if (of.node === undefined) return undefined
  if (!isMembers(of.node) || !isObjectName(of.node.name)) throw bad('kubernetes.io/node')
  return of.node.name
}

/**
 * @throws Refusal `proof_claims`; `proof_rejected` for a token made for the API server itself, which lives a year behind
 * `warnafter` and is in every pod (CVE-2025-32963)
 */
export function readKubeClaims(claims: Members, subject: string): KubeFacts {
  const own = claims['kubernetes.io']
  if (!isMembers(own)) throw bad('kubernetes.io')
  if (own.warnafter !== undefined)
    throw refuse('proof_rejected', { explanation: { detail: 'the token was made for the API server (warnafter)' } })
  const account = named(own, 'serviceaccount')
  if (!account) throw bad('kubernetes.io/serviceaccount')
  const name = readUsername(subject)
  if (!name || name.namespace !== own.namespace || name.account !== account.name) throw bad('sub')
  const [pod, node] = [named(own, 'pod'), nodeOf(own)]
  return { namespace: name.namespace, account, ...(pod && { pod }), ...(node !== undefined && { node }) }
}

/** The first fact in which two accounts of one token differ, by its name. */
export function disagreement(a: KubeFacts, b: KubeFacts): string | undefined {
  const pairs: [string, string | undefined, string | undefined][] = [
    ['namespace', a.namespace, b.namespace],
    ['service account', a.account.name, b.account.name],
    ['service account’s UID', a.account.uid, b.account.uid],
    ['pod', a.pod?.name, b.pod?.name],
    ['pod’s UID', a.pod?.uid, b.pod?.uid],
    ['node', a.node, b.node],
  ]
  return pairs.find(([, one, other]) => one !== other)?.[0]
}
