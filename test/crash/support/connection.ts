/**
 * A kept HTTP/1.1 connection on a bare socket, which knows how far a request got. Replies of Purser have a content-length,
 * and count as received when their last byte was read.
 */
import { type Socket, connect } from 'node:net'
import { type TLSSocket, connect as connectTls } from 'node:tls'

export type Target = { host: string; port: number; roots?: string }

export type Answered = { kind: 'answered'; status: number; headers: Record<string, string>; text: string; ms: number }
/** `refused`: no byte was sent. `lost`: the request was sent, and the connection ended before its reply was whole. */
export type Outcome = Answered | { kind: 'refused' } | { kind: 'lost'; receivedBytes: number; ms: number }

export type Ask = { method: string; path: string; token?: string; body?: unknown; headers?: Record<string, string> }

export type Connection = {
  /** Never rejects. One at a time. */
  ask(request: Ask): Promise<Outcome>
  close(): void
}

const headEnd = Buffer.from('\r\n\r\n')

function dial(target: Target): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const { host, port, roots } = target
    const socket: Socket | TLSSocket = roots
      ? connectTls({ host, port, ca: roots, servername: 'localhost' }, () => resolve(socket))
      : connect(port, host, () => resolve(socket))
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.once('close', () => resolve(undefined))
  })
}

function headersOf(head: string): Record<string, string> {
  const pairs = head.split('\r\n').slice(1)
  return Object.fromEntries(
    pairs.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
}

function summaryOf({ method, path, token, body, headers }: Ask): string {
  const payload = body === undefined ? '' : JSON.stringify(body)
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'host: localhost',
    `content-length: ${Buffer.byteLength(payload)}`,
    ...(payload === '' ? [] : ['content-type: application/json']),
    ...(token === undefined ? [] : [`authorization: Bearer ${token}`]),
    ...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`),
  ]
  return `${lines.join('\r\n')}\r\n\r\n${payload}`
}

/** Sends one request and reads its reply to the last byte. */
function exchange(socket: Socket, request: Ask): Promise<Outcome> {
  const started = performance.now()
  const ms = (): number => performance.now() - started
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let receivedBytes = 0
    let whole = Infinity
    let head: string | undefined
    let bodyAt = 0
    const done = (outcome: Outcome): void => {
      socket.off('data', onData).off('close', onClose)
      resolve(outcome)
    }
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      receivedBytes += chunk.length
      if (head === undefined) {
        const all = Buffer.concat(chunks)
        const at = all.indexOf(headEnd)
        if (at < 0) return
        head = all.toString('latin1', 0, at)
        bodyAt = at + headEnd.length
        whole = bodyAt + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
      }
      if (receivedBytes < whole) return
      const text = Buffer.concat(chunks).toString('utf8', bodyAt)
      done({ kind: 'answered', status: Number(head.slice(9, 12)), headers: headersOf(head), text, ms: ms() })
    }
    const onClose = (): void => done({ kind: 'lost', receivedBytes, ms: ms() })
    socket.on('data', onData).once('close', onClose)
    socket.write(summaryOf(request))
  })
}

/** `target` is called for each new connection, so a server may return on another port. */
export function openConnection(target: () => Target): Connection {
  let socket: Socket | undefined
  return {
    async ask(request) {
      // A server may close a kept connection between two requests. Then nothing was sent.
      if (!socket || socket.destroyed || socket.readableEnded) socket = await dial(target())
      if (!socket) return { kind: 'refused' }
      const outcome = await exchange(socket, request)
      if (outcome.kind !== 'answered' || outcome.headers.connection === 'close') {
        socket.destroy()
        socket = undefined
      }
      return outcome
    },
    close() {
      socket?.destroy()
      socket = undefined
    },
  }
}
