// A real Kubernetes API server for attestation: it has no nodes and controllers, but its tokens are real.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createKubeApi } from './kube-api.ts'
import type { KubeApi } from './kube-api.ts'
import { startControlPlane } from './kube-process.ts'
import type { ControlPlane } from './kube-process.ts'

export interface KubeOptions {
  /** Distinguishes clusters in file names; not part of any token. */
  readonly name: string
  /** The `iss` of its tokens; by default the server's own URL, with discovery. */
  readonly issuer?: string
}

/** The object that Kubernetes binds a token to. An object of the same name with another UID is another one. */
export interface Named {
  readonly name: string
  readonly uid: string
}

interface PodOptions {
  readonly ns: string
  readonly name: string
  readonly sa: string
  /** Default `node-1`. No such Node exists, so tokens name it without a UID. */
  readonly nodeName?: string
}

interface TokenOptions {
  readonly ns: string
  readonly sa: string
  /** Absent: the API server's own audience. */
  readonly audiences?: readonly string[]
  /** A pod as `createPod` returned it; absent: a token without a pod. */
  readonly boundPod?: Named
  /** Seconds, at least 600; default 3600. */
  readonly expirationSeconds?: number
}

export interface Kube extends Pick<KubeApi, 'request'> {
  readonly name: string
  /** `https://127.0.0.1:<port>` */
  readonly url: string
  readonly issuer: string
  readonly caPem: string
  readonly adminToken: string
  /** A service account's token that may create TokenReviews and nothing else. */
  readonly reviewerToken: string
  readonly createNamespace: (name: string) => Promise<void>
  readonly createServiceAccount: (ns: string, name: string) => Promise<Named>
  readonly createPod: (pod: PodOptions) => Promise<Named>
  /** The TokenRequest API, as kubelet calls it for a projected volume. @returns the token. */
  readonly tokenRequest: (token: TokenOptions) => Promise<string>
  /**
   * The object is removed from the store when it returns. The server judges tokens by a watch that lags some
   * milliseconds, and caches a positive answer for ten seconds: a test repeats its question for up to 20 s. The same
   * applies to accounts.
   */
  readonly deletePod: (ns: string, name: string) => Promise<void>
  readonly deleteServiceAccount: (ns: string, name: string) => Promise<void>
  /** Kills the servers and removes their folder. */
  readonly stop: () => Promise<void>
}

const START_LIMIT = 60_000

/**
 * Starts a cluster on a loopback port; ready in a few seconds. Several can run at the same time. Discovery and JWKS
 * are public; the audience of a TokenReview without audiences is the issuer. @throws when it isn't ready within 60 s,
 * with the end of the log
 */
export async function startKube({ name, issuer }: KubeOptions): Promise<Kube> {
  const deadline = Date.now() + START_LIMIT
  const adminToken = randomBytes(24).toString('base64url')
  const plane = await startControlPlane({ name, issuer, adminToken, deadline })
  const api = createKubeApi(plane.url, plane.caPem, adminToken)
  const stop = async () => {
    api.close()
    await plane.stop()
  }
  try {
    await untilReady(api, plane, deadline)
    await openDiscovery(api)
    const actions = createActions(api)
    const reviewerToken = await createReviewer(api, actions)
    const { url, caPem } = plane
    const { request } = api
    return { name, url, issuer: plane.issuer, caPem, adminToken, reviewerToken, request, ...actions, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function untilReady(api: KubeApi, plane: ControlPlane, deadline: number): Promise<void> {
  for (;;) {
    const failure = plane.failure()
    if (failure !== undefined) throw new Error(failure)
    const { status, text } = await api.request('GET', '/readyz?verbose')
    if (status === 200) return
    if (Date.now() > deadline) throw new Error(`kube-apiserver is not ready:\n${text}`)
    await sleep(100)
  }
}

type Actions = Omit<Kube, 'name' | 'url' | 'issuer' | 'caPem' | 'adminToken' | 'reviewerToken' | 'request' | 'stop'>

function createActions({ create, remove }: KubeApi): Actions {
  const accounts = (ns: string) => `/api/v1/namespaces/${ns}/serviceaccounts`
  const pods = (ns: string) => `/api/v1/namespaces/${ns}/pods`
  const createNamed = async (path: string, body: unknown): Promise<Named> => {
    const { metadata } = await create(path, body)
    return { name: metadata.name, uid: metadata.uid }
  }
  return {
    createNamespace: async (name) => {
      await create('/api/v1/namespaces', { metadata: { name } })
    },
    createServiceAccount: (ns, name) => createNamed(accounts(ns), { metadata: { name } }),
    createPod: ({ ns, name, sa, nodeName = 'node-1' }) => {
      const containers = [{ name: 'main', image: 'registry.invalid/none' }]
      return createNamed(pods(ns), { metadata: { name }, spec: { serviceAccountName: sa, nodeName, containers } })
    },
    tokenRequest: async ({ ns, sa, audiences = [], boundPod, expirationSeconds = 3600 }) => {
      const boundObjectRef = boundPod && { kind: 'Pod', apiVersion: 'v1', name: boundPod.name, uid: boundPod.uid }
      const spec = { audiences, expirationSeconds, boundObjectRef }
      const { status } = await create(`${accounts(ns)}/${sa}/token`, { spec })
      if (status?.token === undefined) throw new Error('TokenRequest answered without a token')
      return status.token
    },
    deletePod: (ns, name) => remove(`${pods(ns)}/${name}`),
    deleteServiceAccount: (ns, name) => remove(`${accounts(ns)}/${name}`),
  }
}

const CLUSTER_ROLES = '/apis/rbac.authorization.k8s.io/v1/clusterroles'
const CLUSTER_ROLE_BINDINGS = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings'

async function createReviewer({ create }: KubeApi, actions: Actions): Promise<string> {
  const ns = 'purser-system'
  const name = 'purser-reviewer'
  await actions.createNamespace(ns)
  await actions.createServiceAccount(ns, name)
  const rules = [{ apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] }]
  await create(CLUSTER_ROLES, { metadata: { name }, rules })
  await create(CLUSTER_ROLE_BINDINGS, {
    metadata: { name },
    roleRef: roleRef(name),
    subjects: [{ kind: 'ServiceAccount', name, namespace: ns }],
  })
  return actions.tokenRequest({ ns, sa: name, expirationSeconds: 24 * 3600 })
}

/** By default only service accounts may read the keys, but a verifier outside the cluster has no account in it. */
async function openDiscovery({ create }: KubeApi): Promise<void> {
  await create(CLUSTER_ROLE_BINDINGS, {
    metadata: { name: 'anybody-reads-issuer-discovery' },
    roleRef: roleRef('system:service-account-issuer-discovery'),
    subjects: [{ kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name: 'system:unauthenticated' }],
  })
}

function roleRef(name: string) {
  return { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }
}
