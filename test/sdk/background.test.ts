/** Background work keeps no process alive. A call that a caller waits for does. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test, vi } from 'vitest'
import { sdkProgram } from '../support/built-sdk.ts'
import { type Misbehaviour, proofFor, rootPem, startFake } from './fake-purser.ts'

const credentials = '/api/v1/credentials'

/** A program with a connected client. Purser answers every request except the `last` one. */
async function run(
  program: string,
  { hangs, nth }: { hangs: string; nth: number },
  more: Record<string, unknown> = {},
) {
  let hanging = (): void => undefined
  const hung = new Promise<void>((resolve) => (hanging = resolve))
  let requestCount = 0
  const wrong: Misbehaviour = {
    leaf: { notAfter: new Date(Date.now() + 10_000) },
    handle({ url }) {
      if (url !== hangs || ++requestCount !== nth) return false
      hanging()
      return true
    },
  }
  const fake = await startFake(wrong)
  const options = { addr: fake.url, ca: { pem: rootPem }, proof: proofFor(), logKey: fake.state.log.vkey, ...more }
  const child = spawn(
    process.execPath,
    sdkProgram(`import { connect } from '@purser/sdk'\nconst options = ${JSON.stringify(options)}\n${program}`),
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number, output }))
  return { child, hung, ended }
}

/** Longer than this test may take, so no timeout ends the program. */
const timeoutMs = 3_600_000

test.each([
  ['renewal', { hangs: credentials, nth: 2 }],
  ['look at the bundle', { hangs: '/bundle', nth: 1 }],
])('a %s that hangs does not keep an otherwise idle process alive', async (_, hang) => {
  const program = `await connect(options)
process.stdin.on('end', () => console.log('over')).resume()`
  const { child, hung, ended } = await run(program, hang, { timeoutMs, renewAt: 0.1 })
  await hung
  child.stdin.end()
  expect(await ended).toEqual({ code: 0, output: 'over\n' })
})

test.each([
  ['connect()', 'await connect(options)', { hangs: credentials, nth: 1 }, {}],
  [
    'connect() with a missing proof',
    'await connect({ ...options, proof: () => new Promise(() => {}) })',
    { hangs: '', nth: 0 },
    {},
  ],
  ['jwt()', "await (await connect(options)).jwt('payments')", { hangs: credentials, nth: 2 }, { x509: false }],
  ['renew()', 'await (await connect(options)).renew()', { hangs: credentials, nth: 2 }, {}],
])('a caller that waits for %s gets a timeout error', async (_, call, hang, more) => {
  const { ended } = await run(`try { ${call} } catch ({ code }) { console.log(code) }`, hang, {
    timeoutMs: 1_500,
    ...more,
  })
  expect(await ended).toEqual({ code: 0, output: 'timeout\n' })
})

test('a watch, open or connecting, does not keep an otherwise idle process alive', async () => {
  let opened = 0
  const fake = await startFake({
    info: (info) => ({ ...info, features: ['x509', 'secrets', 'watch'] }),
    handle({ url }, response) {
      if (!url.startsWith('/api/v1/watch')) return false
      opened++
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: synced\nid: 1.1\ndata: {}\n\n')
      return true
    },
  })
  const options = { addr: fake.url, ca: { pem: rootPem }, proof: proofFor(), logKey: fake.state.log.vkey }
  const program = `import { connect } from '@purser/sdk'
    const purser = await connect(${JSON.stringify(options)})
    purser.secrets.watch('prod/db')
    process.stdin.on('end', () => console.log('over')).resume()`
  const child = spawn(process.execPath, sdkProgram(program), { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await vi.waitFor(() => expect(opened).toBe(1), { timeout: 30_000 })
  child.stdin.end()
  const [code] = (await once(child, 'close')) as [number]
  expect([code, output]).toEqual([0, 'over\n'])
})
