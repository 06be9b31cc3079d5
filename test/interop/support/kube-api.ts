// A minimal Kubernetes client: JSON over https, verified with the cluster's CA.

import { Agent, request as httpsRequest } from 'node:https'

interface KubeReply<Body> {
  readonly status: number
  readonly text: string
  /** `text` as JSON, unchecked; undefined when the server did not send JSON. */
  readonly body: Body
}

export interface KubeApi {
  /** Sends one request and returns any answer. `token: null` sends none, which makes the caller anonymous. */
  readonly request: <Body = unknown>(
    method: string,
    path: string,
    body?: unknown,
    token?: string | null,
  ) => Promise<KubeReply<Body>>
  /** Creates an object as the admin. @returns it as stored. @throws on any status but 201. */
  readonly create: (path: string, body: unknown) => Promise<StoredObject>
  /** Deletes an object at once, without the grace that a kubelet would need. @throws on any status but 200. */
  readonly remove: (path: string) => Promise<void>
  readonly close: () => void
}

interface StoredObject {
  readonly metadata: { readonly name: string; readonly uid: string }
  readonly status?: { readonly token?: string }
}

export function createKubeApi(url: string, caPem: string, adminToken: string): KubeApi {
  const agent = new Agent({ ca: caPem, keepAlive: true })

  const request = async <Body>(
    method: string,
    path: string,
    body?: unknown,
    token: string | null = adminToken,
  ): Promise<KubeReply<Body>> => {
    const { status, type, text } = await exchange(agent, new URL(path, url), method, body, token)
    const parsed: Body = /[/+]json\b/.test(type) ? JSON.parse(text) : undefined
    return { status, text, body: parsed }
  }

  const expect = async <Body>(status: number, method: string, path: string, body: unknown): Promise<Body> => {
    const reply = await request<Body>(method, path, body)
    if (reply.status !== status) throw new Error(`${method} ${path}: ${reply.status} ${reply.text.slice(0, 500)}`)
    return reply.body
  }

  return {
    request,
    create: (path, body) => expect<StoredObject>(201, 'POST', path, body),
    remove: async (path) => {
      await expect(200, 'DELETE', path, { gracePeriodSeconds: 0 })
    },
    close: () => agent.destroy(),
  }
}

interface Exchange {
  readonly status: number
  readonly type: string
  readonly text: string
}

function exchange(agent: Agent, url: URL, method: string, body: unknown, token: string | null): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const json = body === undefined ? '' : JSON.stringify(body)
    // No Accept: /openid/v1/jwks is application/jwk-set+json, and answers 406 to who accepts application/json only.
    const headers: Record<string, string | number> = {}
    if (token !== null) headers['authorization'] = `Bearer ${token}`
    if (body !== undefined) {
      headers['content-type'] = 'application/json'
      headers['content-length'] = Buffer.byteLength(json) // Node leaves it out of a DELETE
    }
    const outgoing = httpsRequest(url, { method, agent, headers, timeout: 10_000 }, (reply) => {
      let text = ''
      reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      reply.once('error', reject)
      const type = reply.headers['content-type'] ?? ''
      reply.once('end', () => resolve({ status: reply.statusCode ?? 0, type, text }))
    })
    outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${url.pathname}: no answer in 10 s`)))
    outgoing.once('error', reject)
    outgoing.end(json)
  })
}
