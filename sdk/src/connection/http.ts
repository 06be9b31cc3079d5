/** HTTP messages to and from the server. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Address } from './address.ts'
import { PurserError } from '../errors.ts'
import { connectionError } from './handshake.ts'
import { version } from '../version.ts'

/** A live X.509-SVID with its key, to present to the server (PEM). */
export type Presented = { key: string; cert: string }

export type Request = {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  /** JSON text. */
  body?: string
  /** Limit of the answer's body. */
  maxBytes: number
  /** The entity tag of a copy. 304 answers that it is current. */
  ifNoneMatch?: string
  /** The certificate of the connection. Default: none. */
  as?: Presented
  /** An access token. */
  bearer?: string
  /** Called as the request is written; from then on the server may have acted on it. If it throws, nothing is sent. */
  onSent?: () => void
  /** `requestJson` calls it with the status of each answer. */
  onAnswer?: (status: number) => void
}
export type Answer = { status: number; headers: IncomingHttpHeaders; bytes: Buffer; text: string }

export function headersOf({ body, bearer, ifNoneMatch }: Request, address: Address): Record<string, string | number> {
  return {
    host: new URL(address.origin).host,
    accept: '*/*',
    'accept-encoding': 'identity',
    'user-agent': `purser-sdk/${version} node/${process.versions.node}`,
    ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
    ...(ifNoneMatch !== undefined && { 'if-none-match': ifNoneMatch }),
    ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  }
}

export function answerError(error: Error, address: Address): PurserError {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'HPE_HEADER_OVERFLOW')
    return new PurserError('too_large', `${address.origin} sent a header of more than 16 KiB`)
  if (code.startsWith('HPE_')) return new PurserError('bad_reply', `${address.origin} does not speak HTTP (${code})`)
  return connectionError(error, address)
}

export async function readAnswer(
  response: IncomingMessage,
  { maxBytes, ifNoneMatch }: Pick<Request, 'maxBytes' | 'ifNoneMatch'>,
  { origin }: Address,
): Promise<Answer> {
  const { statusCode: status = 0, headers } = response
  if (status >= 300 && status < 400 && !(status === 304 && ifNoneMatch !== undefined)) {
    throw new PurserError(
      'redirected',
      `${origin} answered ${status}; redirects are not followed, so use the server's own address`,
    )
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new PurserError('bad_reply', `${origin} compressed its answer, which was not requested`)
  }
  const tooLarge = (): PurserError =>
    new PurserError('too_large', `${origin} sent more than ${maxBytes} bytes, the limit of this answer`)
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge()
  const bytes = await readBody(response, maxBytes, tooLarge).catch((error: unknown) => {
    if (error instanceof PurserError) throw error
    throw new PurserError('incomplete', `${origin} closed the connection during its answer`, { cause: error })
  })
  if (!response.complete) throw new PurserError('incomplete', `${origin} closed the connection during its answer`)
  return { status, headers, bytes, text: bytes.toString('utf8') }
}

/** @throws the result of `tooLarge`, and errors of the connection */
export async function readBody(
  response: IncomingMessage,
  maxBytes: number,
  tooLarge: () => PurserError,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxBytes) throw tooLarge()
    chunks.push(bytes)
  }
  return Buffer.concat(chunks, size)
}
