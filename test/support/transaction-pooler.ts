/**
 * A minimal pooler like PgBouncer with pool_mode = transaction: one server connection answers every client, a
 * transaction at a time.
 */
import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'

/** Whether the server's bytes so far end in ReadyForQuery (PostgreSQL documentation, 55.7). */
function isReady(bytes: Buffer): boolean {
  let last = 0
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) last = at
  return bytes[last] === 0x5a && last + 6 === bytes.length
}

async function answer(server: Socket, question: Buffer): Promise<Buffer> {
  let bytes = Buffer.alloc(0)
  server.write(question)
  while (!isReady(bytes)) {
    const [more] = (await once(server, 'data')) as [Buffer]
    bytes = Buffer.concat([bytes, more])
  }
  return bytes
}

export async function startTransactionPooler(url: string): Promise<{ url: string; stop: () => void }> {
  const to = new URL(url)
  const server = connect(Number(to.port), to.hostname)
  server.on('error', () => undefined)
  await once(server, 'connect')
  const clients = new Set<Socket>()
  let turn: Promise<unknown> = Promise.resolve()
  let hello: Promise<Buffer> | undefined

  const listener = createServer((client) => {
    clients.add(client)
    client.on('error', () => undefined)
    let started = false
    client.on('data', (bytes: Buffer) => {
      // Terminate: the server connection stays for the others.
      if (bytes[0] === 0x58) return void client.end()
      const first = !started
      started = true
      const reply = async (): Promise<void> => {
        const reply = first ? (hello ??= answer(server, bytes)) : answer(server, bytes)
        client.write(await reply)
      }
      turn = turn.then(reply)
    })
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const proxied = new URL(url)
  proxied.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`
  return {
    url: proxied.href,
    stop() {
      for (const client of clients) client.destroy()
      server.destroy()
      listener.close()
    },
  }
}
