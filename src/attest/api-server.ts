/**
 * Calls a cluster's API with Purser's own credential, which goes to the configured server only. A workload's token is
 * never used as a credential.
 */
import { Refusal, refuse } from '../errors.ts'
import type { FetchOptions, JsonReply } from '../outbound/client.ts'
import { OutboundError } from '../outbound/errors.ts'
import { type AttestorParts, describeRefusal } from './attestor.ts'
import type { Place } from './key-source.ts'

/** As stored. `tokenFile` is read at each use: the kubelet writes a new token before the old one ends. */
export type ApiServerDefinition = 'in-cluster' | { url: string; caPem: string; tokenFile: string }

export type ApiServer = Place & {
  url: string
  /** @throws Refusal `unavailable`; the cause is in the server log, since the workload did not bring it about */
  post(path: string, body: string): Promise<JsonReply>
}

/** The files of a pod's service account. */
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

/** Only a JWT is ever sent: an operator may name any file that Purser can read. */
async function readToken(path: string, readFile: AttestorParts['readFile']): Promise<string> {
  const text = (await readOwnFile('token file', path, readFile)).trim()
  if (text.length <= maxTokenLength && compactJws.test(text)) return text
  throw missing('the token file holds no JWT')
}

export function openApiServer(attestor: string, definition: ApiServerDefinition, parts: AttestorParts): ApiServer {
  const isInCluster = definition === 'in-cluster'
  const { url, tokenFile } = isInCluster ? inCluster : definition
  const { origin } = new URL(url)
  const base = url.replace(/\/$/, '')

  async function options(): Promise<{ configured: true; caPem: string; headers: { authorization: string } }> {
    const token = await readToken(tokenFile, parts.readFile)
    const caPem = isInCluster ? await readOwnFile('CA file', inCluster.caFile, parts.readFile) : definition.caPem
    return { configured: true, caPem, headers: { authorization: `Bearer ${token}` } }
  }

  /** Logs a repeated cause once a minute. */
  const loggedAt = new Map<string, number>()
  function warn(note: string): void {
    const at = loggedAt.get(note)
    if (at !== undefined && parts.clock() - at < 60_000) return
    loggedAt.set(note, parts.clock())
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
        const fetchOptions: FetchOptions = { ...place, method: 'POST', headers: { ...headers, ...json }, body }
        return await parts.outbound.fetchJson(base + path, { ...fetchOptions, maxBytes: reviewBytes })
      } catch (error) {
        throw unavailable(error, warn)
      }
    },
  }
}

const advice: Record<number, string> = {
  401: 'the API server does not know our token: is the token file the reviewer’s, and alive?',
  403: 'our account may not create tokenreviews.authentication.k8s.io: it needs a ClusterRole that says so',
  404: 'there is no TokenReview at this URL: is it a Kubernetes API server?',
}

/** A fault of Purser's configuration or the cluster, not of the caller: a 503, so that it retries. */
function unavailable(error: unknown, warn: (note: string) => void): unknown {
  const cause =
    error instanceof OutboundError
      ? missing((error.status !== undefined && advice[error.status]) || error.message)
      : error
  if (cause instanceof Refusal) warn(describeRefusal(cause))
  return cause
}
