/**
 * The load generator: kept connections, each of which sends its next request after the previous reply. It uses bare sockets
 * to take little CPU of the shared cores, and runs in its own process.
 */
import { readFileSync } from 'node:fs'
import { type Socket, connect as connectPlain } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'

export type LoadJob = {
  host: string
  port: number
  /** PEM of the roots; absent for plain HTTP. */
  roots?: string
  connections: number
  /**
   * Whole HTTP requests, which all connections share. The first `warmUp` requests are not counted. A list has the steps of
   * one request, which run on one connection and are timed together. `{token}` in a later step stands for the access token
   * of the first reply.
   */
  requests: (string | string[])[]
  warmUp: number
  /** Requests that are due each second, independent of replies. Without it each connection sends at once. */
  perSecond?: number
}
export type LoadResult = {
  seconds: number
  rate: number
  p50: number
  p99: number
  failed: number
  first?: string
  /** The last reply. */
  text: string
}

export function openConnection(job: Pick<LoadJob, 'host' | 'port' | 'roots'>): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = job.roots
      ? connectTls({ host: job.host, port: job.port, ca: job.roots, servername: 'localhost' }, () => resolve(socket))
      : connectPlain(job.port, job.host, () => resolve(socket))
    socket.setNoDelay(true)
    socket.once('error', reject)
  })
}

const headEnd = Buffer.from('\r\n\r\n')

/** Sends a request and resolves with the whole reply, whose end is known by content-length. */
export function exchange(socket: Socket, request: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    let whole = -1
    let status = 0
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      if (whole < 0) {
        const at = received.indexOf(headEnd)
        if (at < 0) return
        const head = received.toString('latin1', 0, at)
        status = Number(head.slice(9, 12))
        whole = at + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
      }
      if (received.length < whole) return
      socket.off('data', onData).off('close', onClose)
      resolve({ status, text: received.toString('utf8') })
    }
    const onClose = (): void => reject(new Error('the server closed the connection'))
    socket.on('data', onData).once('close', onClose)
    socket.write(request)
  })
}

const succeeded = (status: number): boolean => status >= 200 && status < 300
const tokenIn = /"token":"(purser_at_[^"]+)"/

async function steps(socket: Socket, request: string | string[]): Promise<{ status: number; text: string }> {
  let token = ''
  let reply = { status: 0, text: '' }
  for (const step of [request].flat()) {
    reply = await exchange(socket, step.replace('{token}', token))
    if (!succeeded(reply.status)) return reply
    token = tokenIn.exec(reply.text)?.[1] ?? token
  }
  return reply
}

export async function runLoad(job: LoadJob): Promise<LoadResult> {
  const sockets = await Promise.all(Array.from({ length: job.connections }, () => openConnection(job)))
  const times: number[] = []
  let [next, failed, started] = [0, 0, performance.now()]
  let first: string | undefined
  let last = ''
  const startedAt = performance.now()
  const onCounting = (): void => {
    started = performance.now()
    process.send?.('counting')
  }
  await Promise.all(
    sockets.map(async (socket) => {
      for (let n = next++; n < job.requests.length; n = next++) {
        if (n === job.warmUp) onCounting()
        const due = job.perSecond === undefined ? performance.now() : startedAt + (n / job.perSecond) * 1000
        if (due > performance.now()) await pause(due - performance.now())
        const { status, text } = await steps(socket, job.requests[n] ?? '')
        // Measured from the due time: a request that waits for a connection waits for the server.
        if (n >= job.warmUp) times.push(performance.now() - due)
        last = text
        if (!succeeded(status)) {
          failed++
          first ??= text.slice(0, 2000)
        }
      }
    }),
  )
  const seconds = (performance.now() - started) / 1000
  for (const socket of sockets) socket.destroy()
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  return {
    seconds,
    rate: times.length / seconds,
    p50: at(0.5),
    p99: at(0.99),
    failed,
    text: last,
    ...(first !== undefined && { first }),
  }
}

const file = process.argv[2]
if (file !== undefined && process.send) {
  const job = JSON.parse(readFileSync(file, 'utf8')) as LoadJob
  process.send({ result: await runLoad(job) })
  process.disconnect()
}
