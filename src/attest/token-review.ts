/**
 * TokenReview (authentication.k8s.io/v1): the cluster's verdict on a token. A cluster may be compromised, so its answer is
 * read as strictly as a proof: anything but the exact answer of an API server is a refusal.
 */
import { type Refusal, refuse } from '../errors.ts'
import { isMembers } from '../json/members.ts'
import { type KubeFacts, type NamedObject, isObjectName, isUid, readUsername } from './kube-facts.ts'

/** The facts that the cluster vouches for, and the token's `jti` where the server is new enough to report it. */
export type Reviewed = { facts: KubeFacts; tokenId?: string }

type Lists = Record<string, string[]>

const rejected = (detail: string, more: Record<string, unknown> = {}): Refusal =>
  refuse('proof_rejected', { explanation: { detail: `TokenReview: ${detail}`, ...more } })

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((text) => typeof text === 'string')

const isLists = (value: Record<string, unknown>): value is Lists => Object.values(value).every(isTexts)

/** With the attestor's audience: without one, the server checks for its own. */
export const reviewRequest = (token: string, audience: string): string =>
  JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences: [audience] },
  })

/**
 * @param answer the body of the 201 response
 * @throws Refusal `proof_rejected`, also for every answer that is not well-formed
 */
export function readReview(answer: unknown, audience: string): Reviewed {
  if (!isMembers(answer) || answer.apiVersion !== 'authentication.k8s.io/v1' || answer.kind !== 'TokenReview')
    throw rejected('the answer is no TokenReview')
  const { status } = answer
  if (!isMembers(status)) throw rejected('the answer has no status')
  const { authenticated = false, error = '', user, audiences } = status
  if (typeof authenticated !== 'boolean' || typeof error !== 'string') throw rejected('the status is malformed')
  if (!authenticated) throw rejected('the cluster does not vouch for the token', serverError(error))
  if (error !== '') throw rejected('it names an error beside its consent', serverError(error))
  // An authenticator without support for audiences returns none: it checked for the API server's own.
  if (!isTexts(audiences) || !audiences.includes(audience)) throw rejected('it does not confirm our audience')
  if (audiences.some((other) => other !== audience)) throw rejected('it confirms audiences that were not requested')
  return readUser(user)
}

/** The server's error, for operators: cut, and printable ASCII only, for screens and the log. */
const serverError = (error: string): Record<string, unknown> =>
  error === '' ? {} : { error: error.slice(0, 200).replaceAll(/[^ -~]/g, '?') }

function readUser(user: unknown): Reviewed {
  if (!isMembers(user)) throw rejected('it names no user')
  const name = readUsername(user.username)
  if (!name) throw rejected('the user is no service account')
  if (!isUid(user.uid)) throw rejected('the account has no UID')
  const required = ['system:serviceaccounts', `system:serviceaccounts:${name.namespace}`]
  const { groups, extra = {} } = user
  if (!isTexts(groups) || !required.every((group) => groups.includes(group)))
    throw rejected('the groups are not those of the account')
  if (!isMembers(extra) || !isLists(extra)) throw rejected('the extra facts are malformed')

  const pod = podOf(extra)
  const node = singleValue(extra, 'node-name')
  if (node !== undefined && !isObjectName(node)) throw rejected('the node’s name is malformed')
  const credential = singleValue(extra, 'credential-id')
  const tokenId = credential?.startsWith('JTI=') ? credential.slice(4) : undefined
  return {
    facts: {
      namespace: name.namespace,
      account: { name: name.account, uid: user.uid },
      ...(pod && { pod }),
      ...(node !== undefined && { node }),
    },
    ...(tokenId !== undefined && { tokenId }),
  }
}

/** Extra facts are lists. Those of a service account have one value each. */
function singleValue(extra: Lists, name: string): string | undefined {
  const key = `authentication.kubernetes.io/${name}`
  const values = Object.hasOwn(extra, key) ? extra[key] : undefined
  if (values === undefined) return undefined
  if (values.length !== 1) throw rejected(`${name} has not exactly one value`)
  return values[0]
}

function podOf(extra: Lists): NamedObject | undefined {
  const [name, uid] = [singleValue(extra, 'pod-name'), singleValue(extra, 'pod-uid')]
  if (name === undefined && uid === undefined) return undefined
  if (!isObjectName(name) || !isUid(uid)) throw rejected('the pod is malformed')
  return { name, uid }
}
