/**
 * The load: kept connections that each send the next request when the last was answered, written on bare sockets so
 * that the generator takes as little of the shared cores as it can. Runs in a process of its own; one JSON line out.
 */
import { readFileSync } from 'node:fs'
import { type Socket, connect as connectPlain } from 'node:net'
import { connect as connectTls } from 'node:tls'

export type LoadJob = {
  host: string
  port: number
  /** PEM of the roots; absent for plain HTTP. */
  roots?: string
  connections: number
  /** Whole HTTP requests, one after the other for all connections together. The first `warmUp` aren't counted. */
  requests: string[]
  warmUp: number
}
export type LoadResult = { seconds: number; rate: number; p50: number; p99: number; failed: number; first?: string }

function open(job: LoadJob): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = job.roots
      ? connectTls({ host: job.host, port: job.port, ca: job.roots, servername: 'localhost' }, () => resolve(socket))
      : connectPlain(job.port, job.host, () => resolve(socket))
    socket.setNoDelay(true)
    socket.once('error', reject)
  })
}

const headEnd = Buffer.from('\r\n\r\n')

/** Answers when a whole reply has arrived: status and the end of its body by content-length. */
function exchange(socket: Socket, request: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    let got: Buffer = Buffer.alloc(0)
    let whole = -1
    let status = 0
    const onData = (chunk: Buffer): void => {
      got = got.length === 0 ? chunk : Buffer.concat([got, chunk])
      if (whole < 0) {
        const at = got.indexOf(headEnd)
        if (at < 0) return
        const head = got.toString('latin1', 0, at)
        status = Number(head.slice(9, 12))
        whole = at + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
      }
      if (got.length < whole) return
      socket.off('data', onData).off('close', onClose)
      resolve({ status, text: status === 200 ? '' : got.toString('utf8', 0, 2000) })
    }
    const onClose = (): void => reject(new Error('the server closed the connection'))
    socket.on('data', onData).once('close', onClose)
    socket.write(request)
  })
}

export async function runLoad(job: LoadJob): Promise<LoadResult> {
  const sockets = await Promise.all(Array.from({ length: job.connections }, () => open(job)))
  const times: number[] = []
  let [next, failed, started] = [0, 0, performance.now()]
  let first: string | undefined
  const onCounting = (): void => {
    started = performance.now()
    process.send?.('counting')
  }
  await Promise.all(
    sockets.map(async (socket) => {
      for (let n = next++; n < job.requests.length; n = next++) {
        if (n === job.warmUp) onCounting()
        const at = performance.now()
        const { status, text } = await exchange(socket, job.requests[n] ?? '')
        if (n >= job.warmUp) times.push(performance.now() - at)
        if (status !== 200) {
          failed++
          first ??= text
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
    ...(first !== undefined && { first }),
  }
}

const file = process.argv[2]
if (file !== undefined && process.send) {
  const job = JSON.parse(readFileSync(file, 'utf8')) as LoadJob
  process.send({ result: await runLoad(job) })
  process.disconnect()
}
