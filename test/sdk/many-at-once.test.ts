/** Many concurrent requests are no leak: Node prints no warning about listeners. */
import { createTestPurser } from '@purser/sdk/testing'
import { expect, onTestFinished, test } from 'vitest'
import { createTransport } from '../../sdk/src/connection/transport.ts'
import { rootPem, startFake } from './fake-purser.ts'

function hear(): Error[] {
  const leakWarnings: Error[] = []
  const onWarning = (warning: Error): void => void leakWarnings.push(warning)
  process.on('warning', onWarning)
  onTestFinished(() => void process.off('warning', onWarning))
  return leakWarnings
}

test('to the server', async () => {
  const leakWarnings = hear()
  const fake = await startFake()
  const address = { origin: fake.url, host: '127.0.0.1', port: fake.port, tls: true }
  const anchors = () => Promise.resolve({ pem: [rootPem], words: '' })
  const transport = createTransport({ address, anchors, timeoutMs: 30_000 })
  const object = { method: 'GET', path: '/api/v1/server', maxBytes: 65_536 } as const
  const answers = await Promise.all(Array.from({ length: 15 }, () => transport.exchange(object)))
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 15 }, () => 200))
  transport.close()
  expect(leakWarnings).toEqual([])
})

test('to verify tokens', async () => {
  const leakWarnings = hear()
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  const api = await purser.connect({ spiffeId: 'spiffe://example.org/api' })
  const web = await purser.connect({ spiffeId: 'spiffe://example.org/web', jwts: ['api'] })
  const tokens: string[] = []
  for (let n = 0; n < 15; n++) {
    tokens.push(await web.jwt('api'))
    await web.renew()
  }
  expect(new Set(tokens).size).toBe(15)
  const all = await Promise.all(tokens.map((token) => api.verifyJwt(token, { audience: 'api' })))
  expect(all).toHaveLength(15)
  await new Promise((done) => setImmediate(done))
  expect(leakWarnings).toEqual([])
})
