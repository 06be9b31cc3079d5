/**
 * How Purser reaches a cluster's API and authenticates there. It sends its own credential, and only to the configured
 * server. It never uses a workload's token as a credential, since a false API server could then replay that token.
 */
import { Refusal, refuse } from '../errors.ts'
import type { FetchOptions, JsonReply } from '../outbound/client.ts'
import { OutboundError } from '../outbound/errors.ts'
import type { Place } from './key-source.ts'
import type { AttestorParts } from './parts.ts'
import { wordsOf } from './words.ts'

/** As stored. `tokenFile` is read at each use: the kubelet writes a new token before the old one ends. */
export type ApiServerDefinition = 'in-cluster' | { url: string; caPem: string; tokenFile: string }

export type ApiServer = Place & {
  url: string
  /** @throws Refusal `unavailable`, with the true cause in the server's log: none of it is the workload's doing */
  post(path: string, body: string): Promise<JsonReply>
}

/** What a pod is given of its own cluster. */
const mount = '/var/run/secrets/kubernetes.io/serviceaccount'
export const inCluster = {
  url: 'https://kubernetes.default.svc',
  caFile: `${mount}/ca.crt`,
  tokenFile: `${mount}/token`,
}

const compactJws = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const maxTokenLength = 16_384
const reviewBytes = 65_536

const missing = (what: string): Refusal =>
  refuse('unavailable', { retryAfterSeconds: 5, explanation: { detail: `API server: ${what}` } })

async function readOwnFile(what: string, path: string, readFile: AttestorParts['readFile']): Promise<string> {
  try {
    return await readFile(path)
  } catch {
    throw missing(`the ${what} can’t be read`)
  }
}

/**
 * A token out of a file that an operator named. Nothing but a JWT is ever sent: the file may be any that we can read.
 */
async function readToken(path: string, readFile: AttestorParts['readFile']): Promise<string> {
  const text = (await readOwnFile('token file', path, readFile)).trim()
  if (text.length <= maxTokenLength && compactJws.test(text)) return text
  throw missing('the token file holds no JWT')
}

export function openApiServer(attestor: string, definition: ApiServerDefinition, parts: AttestorParts): ApiServer {
  const own = definition === 'in-cluster'
  const { url, tokenFile } = own ? inCluster : definition
  const { origin } = new URL(url)
  const base = url.replace(/\/$/, '')

  async function options(): Promise<{ configured: true; caPem: string; headers: { authorization: string } }> {
    const token = await readToken(tokenFile, parts.readFile)
    const caPem = own ? await readOwnFile('CA file', inCluster.caFile, parts.readFile) : definition.caPem
    return { configured: true, caPem, headers: { authorization: `Bearer ${token}` } }
  }

  /** A cause that comes with every request is said once in a while, not each time. */
  const saidAt = new Map<string, number>()
  function say(note: string): void {
    const at = saidAt.get(note)
    if (at !== undefined && parts.clock() - at < 60_000) return
    saidAt.set(note, parts.clock())
    parts.log.warn('attestor.api_server', { attestor, origin, note })
  }

  return {
    url: base,
    origin,
    options,
    async post(path, body) {
      try {
        const { headers, ...place } = await options()
        const json = { 'content-type': 'application/json', accept: 'application/json' }
        const sent: FetchOptions = { ...place, method: 'POST', headers: { ...headers, ...json }, body }
        return await parts.outbound.fetchJson(base + path, { ...sent, maxBytes: reviewBytes })
      } catch (error) {
        throw ours(error, say)
      }
    },
  }
}

const advice: Record<number, string> = {
  401: 'the API server does not know our token: is the token file the reviewer’s, and alive?',
  403: 'our account may not create tokenreviews.authentication.k8s.io: it needs a ClusterRole that says so',
  404: 'there is no TokenReview at this URL: is it a Kubernetes API server?',
}

/** The fault is ours or the cluster's, never the caller's: a 503 that is worth repeating. */
function ours(error: unknown, say: (note: string) => void): unknown {
  const cause =
    error instanceof OutboundError
      ? missing((error.status !== undefined && advice[error.status]) || error.message)
      : error
  if (cause instanceof Refusal) say(wordsOf(cause))
  return cause
}
