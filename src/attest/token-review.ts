/**
 * TokenReview (authentication.k8s.io/v1): the cluster's verdict on a token. A cluster may be hostile, so its reply is
 * parsed as strictly as a stranger's request: any deviation from an API server's reply is a refusal.
 */
import { type Refusal, refuse } from '../errors.ts'
import { isMembers } from '../json/members.ts'
import { type KubeFacts, type Named, isObjectName, isUid, readUsername } from './kube-facts.ts'

/** What the cluster vouches for, and the token's `jti` where the server is new enough to say it. */
export type Reviewed = { facts: KubeFacts; tokenId?: string }

type Lists = Record<string, string[]>

const rejected = (detail: string, more: Record<string, unknown> = {}): Refusal =>
  refuse('proof_rejected', { explanation: { detail: `TokenReview: ${detail}`, ...more } })

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')

const isLists = (value: Record<string, unknown>): value is Lists => Object.values(value).every(isTexts)

/** The request always names Purser's audience. Without one, the API server checks the token for its own audience. */
export const reviewRequest = (token: string, audience: string): string =>
  JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences: [audience] },
  })

/**
 * @param answer the object that the server answered 201 with
 * @throws Refusal `proof_rejected`, also for every answer that is not well-formed
 */
export function readReview(answer: unknown, audience: string): Reviewed {
  if (!isMembers(answer) || answer.apiVersion !== 'authentication.k8s.io/v1' || answer.kind !== 'TokenReview')
    throw rejected('the answer is no TokenReview')
  const { status } = answer
  if (!isMembers(status)) throw rejected('the answer has no status')
  const { authenticated = false, error = '', user, audiences } = status
  if (typeof authenticated !== 'boolean' || typeof error !== 'string') throw rejected('the status is malformed')
  if (!authenticated) throw rejected('the cluster does not vouch for the token', said(error))
  if (error !== '') throw rejected('it names an error beside its consent', said(error))
  // An authenticator that knows no audiences answers none, and means that the token is good for the API server.
  if (!isTexts(audiences) || !audiences.includes(audience)) throw rejected('it does not confirm our audience')
  if (audiences.some((one) => one !== audience)) throw rejected('it confirms audiences that were not asked for')
  return readUser(user)
}

/** The server's words, for operators: cut, and without what could disturb a screen or a line of the log. */
const said = (error: string): Record<string, unknown> =>
  error === '' ? {} : { error: error.slice(0, 200).replaceAll(/[^ -~]/g, '?') }

function readUser(user: unknown): Reviewed {
  if (!isMembers(user)) throw rejected('it names no user')
  const name = readUsername(user.username)
  if (!name) throw rejected('the user is no service account')
  if (!isUid(user.uid)) throw rejected('the account has no UID')
  const wanted = ['system:serviceaccounts', `system:serviceaccounts:${name.namespace}`]
  const { groups, extra = {} } = user
  if (!isTexts(groups) || !wanted.every((group) => groups.includes(group)))
    throw rejected('the groups are not those of the account')
  if (!isMembers(extra) || !isLists(extra)) throw rejected('the extra facts are malformed')

  const pod = podOf(extra)
  const node = one(extra, 'node-name')
  if (node !== undefined && !isObjectName(node)) throw rejected('the node’s name is malformed')
  const credential = one(extra, 'credential-id')
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

/** Extra facts are lists; ours have one value each. */
function one(extra: Lists, name: string): string | undefined {
  const key = `authentication.kubernetes.io/${name}`
  const values = Object.hasOwn(extra, key) ? extra[key] : undefined
  if (values === undefined) return undefined
  if (values.length !== 1) throw rejected(`${name} has not exactly one value`)
  return values[0]
}

function podOf(extra: Lists): Named | undefined {
  const [name, uid] = [one(extra, 'pod-name'), one(extra, 'pod-uid')]
  if (name === undefined && uid === undefined) return undefined
  if (!isObjectName(name) || !isUid(uid)) throw rejected('the pod is malformed')
  return { name, uid }
}
