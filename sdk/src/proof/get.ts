/**
 * Requests to token services, bounded in time and size, without redirects or proxy. Plain HTTP goes only to this machine and
 * the clouds' link-local addresses.
 */
import { Agent as PlainAgent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as plain } from 'node:http' // prettier-ignore
import { Agent as TlsAgent, request as tls } from 'node:https'
import { isIP } from 'node:net'
import { readBody } from '../connection/http.ts'
import { PurserError } from '../errors.ts'
import { version } from '../version.ts'
import { failed } from './errors.ts'

type Question = {
  /** The service, for messages. */
  who: string
  method?: 'GET' | 'PUT' | 'POST'
  url: URL
  headers?: Readonly<Record<string, string>>
  body?: string
  signal: AbortSignal
}
export type Answer = { status: number; headers: IncomingHttpHeaders; text: string }

/** @throws PurserError `no_proof`, or the reason of the signal */
export type Get = (question: Question) => Promise<Answer>

const nearby = new Set([
  '169.254.169.254', '169.254.170.2', '169.254.170.23', '[fd00:ec2::254]', '[fd00:ec2::23]', 'metadata.google.internal',
]) // prettier-ignore

/** Loopback addresses only: a resolver decides where the name `localhost` leads. */
const isNearby = (host: string): boolean =>
  nearby.has(host) || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'))

const maxBytes = 65_536

/** For name resolution, connection and TLS handshake. A local service answers at once or does not exist. */
const connectMs = 3000

/** @param parts.ca PEM roots instead of those of Node.js */
export function createGet({ ca }: { ca?: string } = {}): Get {
  return async (question) => {
    const { url, method = 'GET', headers, body, signal } = question
    const secure = url.protocol === 'https:'
    if (!secure && !(url.protocol === 'http:' && isNearby(url.hostname)))
      throw failed(question, 'needs https; plain http is only for this machine and its metadata service')
    if (url.username !== '' || url.password !== '')
      throw failed(question, 'has a URL that contains a user name or password')
    signal.throwIfAborted()

    // Not the global agents, which use a proxy of the environment on newer versions of Node.
    const agent = secure ? new TlsAgent() : new PlainAgent()
    const options = {
      agent,
      method,
      signal,
      maxHeaderSize: 16_384,
      headers: {
        'accept-encoding': 'identity',
        'user-agent': `purser-sdk/${version} node/${process.versions.node}`,
        ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
        ...headers,
      },
    }
    try {
      // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED does not disable it.
      const verified = { rejectUnauthorized: true, minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) } as const
      const outgoing = secure ? tls(url, { ...options, ...verified }) : plain(url, options)
      const response = await answerTo(outgoing, body, secure ? 'secureConnect' : 'connect')
      return await readAnswer(response, question)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (error instanceof PurserError) throw error
      throw failed(question, `is unreachable (${codeOf(error)})`, error)
    } finally {
      agent.destroy()
    }
  }
}

function answerTo(
  outgoing: ClientRequest,
  body: string | undefined,
  connected: 'secureConnect' | 'connect',
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const timeout = Object.assign(new Error('no connection'), { code: `no connection within ${connectMs / 1000} s` })
    const timer = setTimeout(() => outgoing.destroy(timeout), connectMs).unref()
    outgoing.once('socket', (socket) => socket.unref().once(connected, () => clearTimeout(timer)))
    // A server that switches protocols causes neither a response nor an error, only the end.
    outgoing.once('close', () => {
      clearTimeout(timer)
      reject(Object.assign(new Error('no answer'), { code: 'no answer' }))
    })
    outgoing.on('error', reject)
    outgoing.on('response', resolve)
    outgoing.end(body)
  })
}

async function readAnswer(response: IncomingMessage, question: Question): Promise<Answer> {
  const { statusCode: status = 0, headers } = response
  if (status >= 300 && status < 400)
    throw failed(question, `answered ${status}; redirects are not followed, since they may lead to another server`)
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity')
    throw failed(question, 'compressed its answer, which was not requested')
  const body = await readBody(response, maxBytes, () => failed(question, 'sent more than 64 KiB'))
  return { status, headers, text: body.toString('utf8') }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
