/** HTTP by hand: requests that no client library sends. */
import { type Socket, connect } from 'node:net'

export type RawAnswer = {
  status: number
  headers: Map<string, string>
  text: string
  code?: string
  requestId?: string
}

const portOf = (url: string): number => Number(new URL(url).port)

/** Opens a plain connection; `text()` is everything received so far. */
export async function open(url: string): Promise<{ socket: Socket; text: () => string; closed: Promise<void> }> {
  const socket = connect(portOf(url), '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return { socket, text: () => Buffer.concat(chunks).toString('latin1'), closed }
}

/**
 * Sends bytes and returns all replies once the server has closed the connection. Send `Connection: close`, or a
 * request that makes it close.
 */
export async function exchange(url: string, bytes: string | Buffer): Promise<RawAnswer[]> {
  const { socket, text, closed } = await open(url)
  socket.write(bytes)
  await closed
  return parseReplies(text(), Buffer.from(bytes).subarray(0, 5).toString() === 'HEAD ')
}

/** Sends one request line with the required headers, and returns the one reply. */
export async function ask(
  url: string,
  line: string,
  headers: readonly string[] = [],
  body: string | Buffer = '',
): Promise<RawAnswer> {
  const head = [line, 'Host: purser.test', 'Connection: close', ...headers].join('\r\n')
  const [answer, ...more] = await exchange(
    url,
    Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), Buffer.from(body)]),
  )
  if (!answer || more.length > 0) throw new Error(`${more.length + (answer ? 1 : 0)} replies to one request`)
  return answer
}

/** A reply to HEAD names a length and has no body (RFC 9110 section 9.3.2). */
function parseReplies(text: string, head: boolean): RawAnswer[] {
  const replies: RawAnswer[] = []
  let rest = text
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) throw new Error(`no reply: ${rest.slice(0, 100)}`)
    const [line = '', ...fields] = rest.slice(0, end).split('\r\n')
    const headers = new Map(
      fields.map((field) => {
        const at = field.indexOf(':')
        return [field.slice(0, at).toLowerCase(), field.slice(at + 1).trim()] as const
      }),
    )
    const length = head ? 0 : Number(headers.get('content-length') ?? 0)
    const body = rest.slice(end + 4, end + 4 + length)
    replies.push({ status: Number(line.split(' ')[1]), headers, text: body, ...problemIn(headers, body) })
    rest = rest.slice(end + 4 + length)
  }
  return replies.filter((reply) => reply.status !== 100)
}

function problemIn(headers: Map<string, string>, body: string): { code?: string; requestId?: string } {
  if (body === '' || headers.get('content-type') !== 'application/problem+json') return {}
  const problem: { code: string; requestId: string } = JSON.parse(body)
  return { code: problem.code, requestId: problem.requestId }
}
