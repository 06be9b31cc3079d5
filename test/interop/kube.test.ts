// The cluster of the interop tests behaves like Kubernetes. Purser takes no part here.

import { readdirSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import type { JSONWebKeySet } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startKube } from './support/kube.ts'
import type { Kube, Named } from './support/kube.ts'

const AUDIENCE = 'https://purser.test'
const ns = 'shop'

let east: Kube
let west: Kube
let account: Named

beforeAll(async () => {
  const [first, second] = await Promise.all([
    startKube({ name: 'east' }),
    startKube({ name: 'west', issuer: 'https://west.kube.test' }),
  ])
  east = first
  west = second
  for (const kube of [east, west]) {
    await kube.createNamespace(ns)
    account = await kube.createServiceAccount(ns, 'web')
  }
})
afterAll(async () => {
  await Promise.all([east, west].map((kube) => kube?.stop()))
})

interface Review {
  readonly status: {
    readonly authenticated?: boolean
    readonly error?: string
    readonly audiences?: string[]
    readonly user?: { readonly username?: string; readonly uid?: string; readonly extra?: Record<string, string[]> }
  }
}

async function review(kube: Kube, token: string, audiences: string[]): Promise<Review['status']> {
  const path = '/apis/authentication.k8s.io/v1/tokenreviews'
  const reply = await kube.request<Review>('POST', path, { spec: { token, audiences } }, kube.reviewerToken)
  expect(reply.status).toBe(201)
  return reply.body.status
}

/** The server notices a deletion late when its cache answers first: see deletePod. */
const eventually = (assertion: () => Promise<void>) => vi.waitFor(assertion, { timeout: 20_000, interval: 250 })

const extra = (name: string) => `authentication.kubernetes.io/${name}`

describe('a token by TokenRequest', () => {
  it('is confirmed with the pod that it is bound to', async () => {
    const pod = await east.createPod({ ns, name: 'web-1', sa: 'web', nodeName: 'node-7' })
    const token = await east.tokenRequest({ ns, sa: 'web', audiences: [AUDIENCE, 'other'], boundPod: pod })
    const status = await review(east, token, [AUDIENCE])
    expect(status).toMatchObject({
      authenticated: true,
      audiences: [AUDIENCE],
      user: {
        username: 'system:serviceaccount:shop:web',
        extra: {
          [extra('pod-name')]: ['web-1'],
          [extra('pod-uid')]: [pod.uid],
          [extra('node-name')]: ['node-7'],
        },
      },
    })
    expect(decodeJwt(token)).toMatchObject({
      iss: east.url,
      'kubernetes.io': { namespace: ns, pod: { name: 'web-1', uid: pod.uid }, node: { name: 'node-7' } },
    })
  })

  it('names no pod when it is bound to none', async () => {
    const token = await west.tokenRequest({ ns, sa: 'web', audiences: [AUDIENCE], expirationSeconds: 600 })
    const claims = decodeJwt(token)
    expect(claims['kubernetes.io']).toEqual({ namespace: ns, serviceaccount: account })
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(600)
  })

  it('is refused for another audience', async () => {
    const token = await east.tokenRequest({ ns, sa: 'web', audiences: ['somebody-else'] })
    const status = await review(east, token, [AUDIENCE])
    expect(status.authenticated).toBeUndefined()
    expect(status.error).toContain('invalid')
  })

  it('has the issuer as its audience by default', async () => {
    const token = await west.tokenRequest({ ns, sa: 'web' })
    expect(decodeJwt(token).aud).toEqual(['https://west.kube.test'])
    expect((await review(west, token, [AUDIENCE])).authenticated).toBeUndefined()
    expect((await review(west, token, [])).authenticated).toBe(true)
  })

  it('ends with its pod', async () => {
    const pod = await east.createPod({ ns, name: 'short-lived', sa: 'web' })
    const token = await east.tokenRequest({ ns, sa: 'web', audiences: [AUDIENCE], boundPod: pod })
    await east.deletePod(ns, 'short-lived')
    await eventually(async () => {
      const status = await review(east, token, [AUDIENCE])
      expect(status.authenticated).toBeUndefined()
      expect(status.error).toContain('invalidated')
    })
  })

  it('is invalid for a service account that was created again', async () => {
    const first = await east.createServiceAccount(ns, 'phoenix')
    const token = await east.tokenRequest({ ns, sa: 'phoenix', audiences: [AUDIENCE] })
    await east.deleteServiceAccount(ns, 'phoenix')
    const second = await east.createServiceAccount(ns, 'phoenix')
    expect(second.uid).not.toBe(first.uid)
    await eventually(async () => expect((await review(east, token, [AUDIENCE])).authenticated).toBeUndefined())

    const fresh = await east.tokenRequest({ ns, sa: 'phoenix', audiences: [AUDIENCE] })
    await eventually(async () => expect((await review(east, fresh, [AUDIENCE])).user?.uid).toBe(second.uid))
  })

  it('is invalid at a second cluster with the same names', async () => {
    const token = await east.tokenRequest({ ns, sa: 'web', audiences: [AUDIENCE] })
    expect((await review(west, token, [AUDIENCE])).authenticated).toBeUndefined()
    await expect(jwtVerify(token, await keysOf(west))).rejects.toThrow('no applicable key')
  })
})

async function keysOf(kube: Kube) {
  const reply = await kube.request<JSONWebKeySet>('GET', '/openid/v1/jwks', undefined, null)
  expect(reply.status).toBe(200)
  return createLocalJWKSet(reply.body)
}

describe('discovery', () => {
  it('is public and leads to the keys', async () => {
    for (const kube of [east, west]) {
      const { status, body } = await kube.request('GET', '/.well-known/openid-configuration', undefined, null)
      expect(status).toBe(200)
      expect(body).toMatchObject({ issuer: kube.issuer, jwks_uri: `${kube.url}/openid/v1/jwks` })
      const token = await kube.tokenRequest({ ns, sa: 'web', audiences: [AUDIENCE] })
      const verified = await jwtVerify(token, await keysOf(kube), { issuer: kube.issuer, audience: AUDIENCE })
      expect(verified.payload.sub).toBe('system:serviceaccount:shop:web')
    }
  })

  it('is served with a certificate of the cluster only', async () => {
    const reached = new Promise((resolve, reject) => {
      httpsRequest(new URL('/openid/v1/jwks', east.url), { ca: west.caPem }, resolve).once('error', reject).end()
    })
    await expect(reached).rejects.toThrow(/certificate/)
  })
})

describe('the reviewer', () => {
  it('may review tokens and nothing else', async () => {
    for (const path of ['/api/v1/secrets', '/api/v1/pods', `/api/v1/namespaces/${ns}/serviceaccounts`]) {
      expect((await east.request('GET', path, undefined, east.reviewerToken)).status).toBe(403)
    }
    const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
    expect((await east.request('POST', path, { spec: { user: 'x' } }, east.reviewerToken)).status).toBe(403)
  })

  it('is needed: neither a workload nor a stranger may review', async () => {
    const path = '/apis/authentication.k8s.io/v1/tokenreviews'
    const workload = await east.tokenRequest({ ns, sa: 'web' })
    const question = { spec: { token: workload, audiences: [AUDIENCE] } }
    expect((await east.request('POST', path, question, workload)).status).toBe(403)
    expect((await east.request('POST', path, question, null)).status).toBe(403)
    expect((await east.request('POST', path, question, 'not-a-token')).status).toBe(401)
  })
})

describe('starting and stopping', () => {
  it('reports why the server did not start, and cleans up', async () => {
    await expect(startKube({ name: 'bad', issuer: 'https://[not-a-host' })).rejects.toThrow('service-account-issuer')
    expect(foldersOf('bad')).toEqual([])
  })

  it('leaves no server and no folder behind', async () => {
    const kube = await startKube({ name: 'brief' })
    expect(foldersOf('brief').length).toBe(1)
    await kube.stop()
    await expect(kube.request('GET', '/readyz')).rejects.toThrow('ECONNREFUSED')
    expect(foldersOf('brief')).toEqual([])
  })
})

function foldersOf(name: string): string[] {
  return readdirSync(tmpdir()).filter((entry) => entry.startsWith(`purser-kube-${name}-`))
}
