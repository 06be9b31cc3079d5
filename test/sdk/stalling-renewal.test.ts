/** The network to Purser stalls: a certificate that may be spent is never sent after the time for repetitions. */
import { type Socket, connect as connectTcp, createServer } from 'node:net'
import { connect } from '@purser/sdk'
import { expect, onTestFinished, test } from 'vitest'
import { type Misbehaviour, proofFor, rootFingerprint, startFake } from './fake-purser.ts'
import { failing } from './failing.ts'
import { fakeTime, settle } from './fake-time.ts'

const path = '/api/v1/credentials'

/** Passes bytes on unless it is closed: new connections then wait. */
async function startGate(port: number) {
  const waiting: (() => void)[] = []
  const sockets = new Set<Socket>()
  let open = true
  const server = createServer((socket) => {
    const pass = (): void => {
      const onward = connectTcp({ host: '127.0.0.1', port })
      for (const end of [socket, onward]) {
        sockets.add(end)
        end.on('error', () => end.destroy())
      }
      socket.pipe(onward).pipe(socket)
    }
    socket.on('error', () => socket.destroy())
    sockets.add(socket)
    if (open) pass()
    else waiting.push(pass)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `https://127.0.0.1:${address.port}`,
    waiting,
    close: () => void (open = false),
    open(): void {
      open = true
      for (const pass of waiting.splice(0)) pass()
    },
  }
}

async function connected(timeoutMs: number) {
  // The session continues, so the client renews by certificate.
  const wrong: Misbehaviour = {
    reply: (reply) => ({
      ...reply,
      session: { id: 'ses_1', expiresAt: new Date(Date.now() + 36_000_000).toISOString() },
    }),
  }
  const fake = await startFake(wrong)
  const gate = await startGate(fake.port)
  const client = await connect({
    addr: gate.url,
    ca: { sha256: rootFingerprint },
    proof: () => Promise.resolve(proofFor()),
    onWarning: () => undefined,
    env: {},
    timeoutMs,
  })
  onTestFinished(() => client.close())
  const presented = () => {
    const posts = fake.posts().filter(({ url }) => url === path)
    return posts.map(({ json }) => (json.proof as { kind?: string }).kind ?? 'token')
  }
  const arrives = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await settle()
  }
  return { fake, wrong, gate, client, presented, arrives }
}

test('a connection that opens too late does not present a certificate that was sent before', async () => {
  const { pass } = fakeTime()
  const { fake, wrong, gate, client, presented, arrives } = await connected(30_000)
  fake.state.wrong = {
    ...wrong,
    handle: ({ url }, response) => url === path && Boolean(response.destroy()),
  }
  await failing(client.renew())
  expect(presented().slice(1)).toEqual(['x509'])
  fake.state.wrong = wrong
  await pass(45)
  gate.close()
  const before = presented().length
  const renewed = client.renew().catch((error: unknown) => error)
  await arrives(() => gate.waiting.length > 0)
  await pass(25)
  // Aborted once it was too late, before its own timeout; the proof waits in its place.
  await arrives(() => gate.waiting.length > 1)
  gate.open()
  await renewed
  await client.renew()
  // Certificates that were presented in the 50 s before do not concern this test.
  expect(presented().slice(before)[0]).not.toBe('x509')
})

test('nor does a retry after a busy server', async () => {
  const { pass } = fakeTime()
  const { fake, wrong, gate, client, presented, arrives } = await connected(120_000)
  fake.state.wrong = {
    ...wrong,
    handle({ url }, response) {
      if (url !== path) return false
      gate.close()
      response
        .writeHead(503, { 'content-type': 'application/json', 'retry-after': '5' })
        .end('{"code":"log_unavailable"}')
      return true
    },
  }
  const renewed = client.renew().catch((error: unknown) => error)
  await arrives(() => presented().length === 2)
  fake.state.wrong = wrong
  await fake.drained()
  while (gate.waiting.length === 0) await pass(1)
  await pass(60)
  gate.open()
  await renewed
  expect(presented().slice(1, 2)).toEqual(['x509'])
  expect(presented().slice(2)).not.toContain('x509')
})
