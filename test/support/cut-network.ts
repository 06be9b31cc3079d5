/** A proxy to a server that a test can cut: connections end, and none opens until it is mended. */
import { type Socket, connect, createServer } from 'node:net'

export type Network = {
  /** The URL of the server through the proxy. */
  url: string
  cut(): void
  mend(): void
  stop(): void
}

export async function startNetwork(to: string): Promise<Network> {
  const { protocol, hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((socket) => {
    if (isCut) {
      socket.resetAndDestroy()
      return
    }
    const upstream = connect(Number(port), hostname)
    for (const end of [socket, upstream]) {
      sockets.add(end)
      end.on('error', () => undefined)
      end.on('close', () => sockets.delete(end))
    }
    socket.pipe(upstream).pipe(socket)
    socket.on('close', () => upstream.destroy())
    upstream.on('close', () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const endAll = (): void => sockets.forEach((socket) => socket.destroy())
  return {
    url: `${protocol}//127.0.0.1:${address.port}`,
    cut() {
      isCut = true
      endAll()
    },
    mend: () => void (isCut = false),
    stop() {
      endAll()
      server.close()
    },
  }
}
