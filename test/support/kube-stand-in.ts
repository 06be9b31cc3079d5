/**
 * A stand-in for a Kubernetes API server: it signs service account tokens, publishes its keys, and reviews tokens
 * correctly, or as a test configures it. test/interop attests against a real one.
 */
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { type IncomingMessage, type ServerResponse } from 'node:http'
import { type Server, createServer } from 'node:https'
import type { Socket } from 'node:net'

export type Review = {
  apiVersion?: unknown
  kind?: unknown
  status?: Record<string, unknown>
}
type ReceivedRequest = {
  method: string
  path: string
  authorization: string | undefined
  accept: string | undefined
  body: string
}

export type TokenOptions = {
  ns?: string
  sa?: string
  saUid?: string
  pod?: { name: string; uid: string } | null
  node?: string | null
  audience?: unknown
  /** Seconds since 1970. */
  at?: number
  life?: number
  claims?: Record<string, unknown>
  kube?: Record<string, unknown>
}

type Options = {
  identity: { cert: string; key: string }
  caPem: string
  issuer?: string
  /** The token that may create TokenReviews; it must look like a JWT. */
  reviewer?: string
}

export type KubeStandIn = Awaited<ReturnType<typeof startKubeStandIn>>

export async function startKubeStandIn({
  identity,
  caPem,
  issuer: configuredIssuer,
  reviewer = 'eyJhbGciOiJub25lIn0.e30.cmV2aWV3ZXI',
}: Options) {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), use: 'sig', kid: `kube-${randomUUID()}`, alg: 'ES256' }
  const requests: ReceivedRequest[] = []
  const sockets = new Set<Socket>()
  const state = {
    /** Refuses tokens of these pods and accounts, as after their deletion. */
    gone: new Set<string>(),
    /** Creates the answer to a review. */
    answer: (review: Review): unknown => review,
    /** Answers in place of everything else. */
    instead: undefined as ((path: string, response: ServerResponse) => boolean) | undefined,
    jwksUri: undefined as string | undefined,
  }
  let url = ''

  const send = (response: ServerResponse, status: number, value: unknown, type = 'application/json'): void =>
    void response.writeHead(status, { 'content-type': type }).end(JSON.stringify(value))

  function review(token: string, audiences: string[]): Review {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
    const kube = (claims['kubernetes.io'] ?? {}) as {
      namespace?: string
      serviceaccount?: { name: string; uid: string }
      pod?: { name: string; uid: string }
      node?: { name: string }
    }
    const both = [claims.aud].flat().filter((audience) => audiences.includes(String(audience)))
    const isGone = [kube.pod?.uid, kube.serviceaccount?.uid].some((uid) => uid !== undefined && state.gone.has(uid))
    const base = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      metadata: { creationTimestamp: null },
      spec: { token, audiences: audiences },
    }
    if (both.length === 0 || isGone || claims.iss !== (configuredIssuer ?? url))
      return {
        ...base,
        status: { user: {}, error: '[invalid bearer token, service account token has been invalidated]' },
      }
    const extra: Record<string, string[]> = {
      'authentication.kubernetes.io/credential-id': [`JTI=${String(claims.jti)}`],
    }
    if (kube.pod) {
      extra['authentication.kubernetes.io/pod-name'] = [kube.pod.name]
      extra['authentication.kubernetes.io/pod-uid'] = [kube.pod.uid]
    }
    if (kube.node) extra['authentication.kubernetes.io/node-name'] = [kube.node.name]
    const user = {
      username: claims.sub,
      uid: kube.serviceaccount?.uid,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${kube.namespace}`, 'system:authenticated'],
      extra,
    }
    return { ...base, status: { authenticated: true, user, audiences: both } }
  }

  function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const path = request.url ?? ''
    const { authorization, accept } = request.headers
    requests.push({ method: request.method ?? '', path, authorization, accept, body })
    if (state.instead?.(path, response)) return
    if (authorization !== `Bearer ${reviewer}`)
      return send(response, authorization === undefined ? 403 : 401, { kind: 'Status' })
    if (path === '/.well-known/openid-configuration')
      return send(response, 200, {
        issuer: configuredIssuer ?? url,
        jwks_uri: state.jwksUri ?? `${url}/openid/v1/jwks`,
        response_types_supported: ['id_token'],
      })
    if (path === '/openid/v1/jwks') {
      if (accept === 'application/json') return send(response, 406, { kind: 'Status' })
      return send(response, 200, { keys: [jwk] }, 'application/jwk-set+json')
    }
    if (path === '/apis/authentication.k8s.io/v1/tokenreviews' && request.method === 'POST') {
      const { spec } = JSON.parse(body) as { spec: { token: string; audiences: string[] } }
      return send(response, 201, state.answer(review(spec.token, spec.audiences)))
    }
    return send(response, 404, { kind: 'Status' })
  }

  const server: Server = createServer(identity, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(request, response, Buffer.concat(chunks).toString()))
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  url = `https://127.0.0.1:${address.port}`

  return {
    url,
    issuer: configuredIssuer ?? url,
    caPem,
    reviewer,
    jwk,
    requests,
    state,
    /** A token as the TokenRequest API issues it, bound to a pod by default. */
    token(options: TokenOptions = {}): string {
      const { ns = 'prod', sa = 'web', saUid = 'aaaaaaaa-0000-4000-8000-000000000001', pod, node = 'n1' } = options
      const bound = pod === undefined ? { name: 'web-1', uid: 'bbbbbbbb-0000-4000-8000-000000000001' } : pod
      const iat = options.at ?? Math.floor(Date.now() / 1000) - 5
      const payload = {
        aud: options.audience ?? ['https://purser.example.org'],
        exp: iat + (options.life ?? 3600),
        iat,
        nbf: iat,
        iss: configuredIssuer ?? url,
        jti: randomUUID(),
        sub: `system:serviceaccount:${ns}:${sa}`,
        'kubernetes.io': {
          namespace: ns,
          ...(bound && { pod: bound }),
          ...(bound && node !== null && { node: { name: node, uid: 'cccccccc-0000-4000-8000-000000000001' } }),
          serviceaccount: { name: sa, uid: saUid },
          ...options.kube,
        },
        ...options.claims,
      }
      const text = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
      const input = `${text({ alg: 'ES256', kid: jwk.kid })}.${text(payload)}`
      return `${input}.${sign('sha256', Buffer.from(input), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
    stop(): Promise<void> {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
