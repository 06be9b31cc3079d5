/**
 * The facts of a service account token, from its claims (`kubernetes.io`) or from a TokenReview (token-review.ts). Both have
 * one shape, so that they can be compared.
 */
import { type Refusal, refuse } from '../errors.ts'
import { isMembers } from '../json/members.ts'

export type NamedObject = { name: string; uid: string }

export type KubeFacts = {
  namespace: string
  account: NamedObject
  pod?: NamedObject
  /** The API server does not check it against the Node object. */
  node?: string
}

/** RFC 1123 label (namespaces), and the subdomain that most other names are. */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const subdomain = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/
const uid = /^[A-Za-z0-9-]{1,64}$/

const isNamespace = (value: unknown): value is string => typeof value === 'string' && label.test(value)
export const isObjectName = (value: unknown): value is string => typeof value === 'string' && subdomain.test(value)
export const isUid = (value: unknown): value is string => typeof value === 'string' && uid.test(value)

/** `system:serviceaccount:<namespace>:<name>`, exactly: nodes and people have usernames, too. */
export function readUsername(text: unknown): { namespace: string; account: string } | undefined {
  const parts = typeof text === 'string' ? text.split(':') : []
  const [system, kind, namespace, account] = parts
  if (parts.length !== 4 || system !== 'system' || kind !== 'serviceaccount') return undefined
  return isNamespace(namespace) && isObjectName(account) ? { namespace, account } : undefined
}

const bad = (claim: string): Refusal => refuse('proof_claims', { explanation: { claim } })

type Members = Record<string, unknown>

function namedObject(members: Members, name: string): NamedObject | undefined {
  const value = members[name]
  if (value === undefined) return undefined
  if (!isMembers(value) || !isObjectName(value.name) || !isUid(value.uid)) throw bad(`kubernetes.io/${name}`)
  return { name: value.name, uid: value.uid }
}

/** Without a UID: the API server omits it where it did not find the Node object. */
function nodeName({ node }: Members): string | undefined {
  if (node === undefined) return undefined
  if (!isMembers(node) || !isObjectName(node.name)) throw bad('kubernetes.io/node')
  return node.name
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
  const account = namedObject(own, 'serviceaccount')
  if (!account) throw bad('kubernetes.io/serviceaccount')
  const name = readUsername(subject)
  if (!name || name.namespace !== own.namespace || name.account !== account.name) throw bad('sub')
  const [pod, node] = [namedObject(own, 'pod'), nodeName(own)]
  return { namespace: name.namespace, account, ...(pod && { pod }), ...(node !== undefined && { node }) }
}

/** The name of the first fact in which the claims and the TokenReview differ. */
export function disagreement(a: KubeFacts, b: KubeFacts): string | undefined {
  const pairs: [string, string | undefined, string | undefined][] = [
    ['namespace', a.namespace, b.namespace],
    ['service account', a.account.name, b.account.name],
    ['service account’s UID', a.account.uid, b.account.uid],
    ['pod', a.pod?.name, b.pod?.name],
    ['pod’s UID', a.pod?.uid, b.pod?.uid],
    ['node', a.node, b.node],
  ]
  return pairs.find(([, left, right]) => left !== right)?.[0]
}
