/**
 * A network between a replica and Postgres that a test can cut, and that can lose an answer at a chosen statement.
 * Like a real one it buffers: bytes that are sent during a cut are delivered after it, even if the sender has given
 * up.
 */
import { once } from 'node:events'
import { type Socket, connect, createServer } from 'node:net'

/**
 * A message of the replica (PostgreSQL documentation, 55.7): its type, and the statement that it belongs to. The
 * first message of a statement counts as its Parse, also when the connection has prepared it before and it begins
 * with Bind.
 */
export type Message = { type: string; sql: string; inTransaction: boolean }

/**
 * `stall`: the message and everything after it on this connection wait for `mend`. `lose`: it is delivered, and the
 * replica's side is reset before an answer. `late`: nothing is delivered from here to the next Sync; then the
 * replica's side is reset, and half a second later all of it is delivered.
 */
export type Action = 'pass' | 'stall' | 'lose' | 'late'

export type Proxy = {
  /** The URL of the database through the proxy. */
  through(url: string): string
  /** Decides about every message. */
  judge: (message: Message) => Action
  /** Nothing passes any more, new connections included. */
  cut(): void
  mend(): void
  stop(): void
}

const lateMs = 500

/** Splits a stream into whole messages; the first one (startup) has no type. */
function framer(): (chunk: Buffer) => { type: string; bytes: Buffer }[] {
  let rest: Buffer = Buffer.alloc(0)
  let started = false
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const messages: { type: string; bytes: Buffer }[] = []
    for (;;) {
      const skip = started ? 1 : 0
      if (rest.length < skip + 4) return messages
      const end = skip + rest.readUInt32BE(skip)
      if (rest.length < end) return messages
      messages.push({ type: started ? String.fromCharCode(rest[0] ?? 0) : 'startup', bytes: rest.subarray(0, end) })
      rest = rest.subarray(end)
      started = true
    }
  }
}

/** A text that ends with a zero byte. */
const textAt = (bytes: Buffer, at: number): string => bytes.toString('utf8', at, bytes.indexOf(0, at))
const afterText = (bytes: Buffer, at: number): number => bytes.indexOf(0, at) + 1

/** One direction: passes bytes on or queues them, including the end of the stream. */
function lane(to: Socket): { send(bytes: Buffer): void; end(): void; hold(): void; release(): void } {
  let queue: Buffer[] | undefined
  let isEnded = false
  return {
    send: (bytes) => void (queue ? queue.push(bytes) : to.write(bytes)),
    end() {
      isEnded = true
      if (!queue) to.end()
    },
    hold: () => void (queue ??= []),
    release() {
      for (const bytes of queue ?? []) to.write(bytes)
      queue = undefined
      if (isEnded) to.end()
    },
  }
}

export async function startProxy(to: string): Promise<Proxy> {
  const { hostname, port } = new URL(to)
  const links = new Set<{ hold(): void; release(): void; destroy(): void }>()
  let isCut = false

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    const up = lane(upstream)
    const down = lane(client)
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', () => undefined)
    const link = {
      hold() {
        up.hold()
        down.hold()
      },
      release() {
        up.release()
        down.release()
      },
      destroy() {
        client.destroy()
        upstream.destroy()
      },
    }
    if (isCut) link.hold()
    links.add(link)
    client.once('close', () => up.end())
    upstream.once('close', () => {
      down.end()
      links.delete(link)
    })
    upstream.on('data', (bytes) => {
      if (!client.destroyed) down.send(bytes)
    })

    const split = framer()
    let sql = ''
    /** Prepared statements by name. */
    const statements = new Map<string, string>()
    let isParsed = false
    /** The type that the judge sees. */
    function enter(type: string, bytes: Buffer): string {
      if (type === 'P') {
        const [name, text] = [textAt(bytes, 5), textAt(bytes, afterText(bytes, 5))]
        statements.set(name, text)
        sql = text
        isParsed = true
      }
      if (type !== 'B') return type
      const isFirst = !isParsed
      isParsed = false
      sql = statements.get(textAt(bytes, afterText(bytes, 5))) ?? sql
      return isFirst ? 'P' : type
    }
    let inTransaction = false
    let isLate = false
    client.on('data', (chunk) => {
      for (const { type: wireType, bytes } of split(chunk)) {
        const type = enter(wireType, bytes)
        if (type === 'P' && /^begin/i.test(sql)) inTransaction = true
        const action = isCut ? 'pass' : proxy.judge({ type, sql, inTransaction })
        if (type === 'S' && /^(commit|rollback)/i.test(sql)) inTransaction = false
        if (action === 'stall') link.hold()
        if (action === 'late') {
          up.hold()
          isLate = true
        }
        up.send(bytes)
        if (action === 'lose') client.resetAndDestroy()
        else if (isLate && type === 'S') {
          isLate = false
          client.resetAndDestroy()
          setTimeout(() => up.release(), lateMs)
        }
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  const proxy: Proxy = {
    through(url) {
      const proxied = new URL(url)
      proxied.host = `127.0.0.1:${address.port}`
      return proxied.href
    },
    judge: () => 'pass',
    cut() {
      isCut = true
      for (const link of links) link.hold()
    },
    mend() {
      isCut = false
      for (const link of links) link.release()
    },
    stop() {
      for (const link of links) link.destroy()
      server.close()
    },
  }
  return proxy
}
