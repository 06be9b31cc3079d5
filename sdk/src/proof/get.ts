/**
 * Asks what hands out tokens on this machine: bounded in time and size, no redirects, no proxy. Plain HTTP goes to this
 * machine and to the clouds' link-local addresses alone, where no network lies between.
 */
import { Agent as PlainAgent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as plain } from 'node:http' // prettier-ignore
import { Agent as TlsAgent, request as tls } from 'node:https'
import { isIP } from 'node:net'
import { PurserError } from '../errors.ts'
import { version } from '../version.ts'
import { failed } from './errors.ts'

export type Question = {
  /** Who is asked, for messages. */
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

/** Addresses of loopback, and no name: a resolver says where `localhost` leads. */
const isNearby = (host: string): boolean =>
  nearby.has(host) || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'))

const maxBytes = 65_536

/** From the name's resolution to the end of the TLS handshake. What is on this machine answers at once, or isn't there. */
const connectMs = 3000

/** @param parts.ca roots as PEM, in place of those of Node.js */
export function createGet({ ca }: { ca?: string } = {}): Get {
  return async (question) => {
    const { url, method = 'GET', headers, body, signal } = question
    const secure = url.protocol === 'https:'
    if (!secure && !(url.protocol === 'http:' && isNearby(url.hostname)))
      throw failed(question, 'is asked over https alone; plain http is for this machine and its metadata service')
    if (url.username !== '' || url.password !== '') throw failed(question, 'has a URL with a password in it')
    signal.throwIfAborted()

    // Agents of our own: the global ones take a proxy from the environment on newer versions of Node.
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
      // Said outright: NODE_TLS_REJECT_UNAUTHORIZED must not switch it off.
      const verified = { rejectUnauthorized: true, minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) } as const
      const outgoing = secure ? tls(url, { ...options, ...verified }) : plain(url, options)
      const response = await answerTo(outgoing, body, secure ? 'secureConnect' : 'connect')
      return await readAnswer(response, question)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (error instanceof PurserError) throw error
      throw failed(question, `can't be asked (${codeOf(error)})`, error)
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
    const late = Object.assign(new Error('no connection'), { code: `no connection within ${connectMs / 1000} s` })
    const timer = setTimeout(() => outgoing.destroy(late), connectMs).unref()
    outgoing.once('socket', (socket) => socket.unref().once(connected, () => clearTimeout(timer)))
    // A server that switches protocols gives neither a response nor an error: only an end.
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
    throw failed(question, `answered ${status}, and a redirect is not followed: it would take the request elsewhere`)
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity')
    throw failed(question, 'compressed its answer, which was not asked for')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxBytes) throw failed(question, 'sent more than 64 KiB, which no token needs')
    chunks.push(bytes)
  }
  return { status, headers, text: Buffer.concat(chunks, size).toString('utf8') }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
