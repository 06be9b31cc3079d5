/** Workloads of a Purser in memory meet: real mutual TLS, and tokens that are verified, revoked and rotated. */
import { type Purser, peerOf } from '@purser/sdk'
import { type TestPurser, createTestPurser } from '@purser/sdk/testing'
import { expect, onTestFinished, test } from 'vitest'
import { get, listen } from '../exchange.ts'
import { failing } from '../failing.ts'

const webId = 'spiffe://example.org/web'
const apiId = 'spiffe://example.org/api'

async function meeting(): Promise<{ purser: TestPurser; web: Purser; api: Purser; ask: () => Promise<unknown> }> {
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  const [web, api] = [await purser.connect({ spiffeId: webId }), await purser.connect({ spiffeId: apiId })]
  const server = api.tls.server({ accept: webId }, (request, response) => response.end(peerOf(request).spiffeId))
  const port = await listen(server)
  const agent = web.tls.agent({ accept: apiId })
  const ask = async () => {
    const { status, text } = await get({ port, agent })
    return status === 200 ? text : status
  }
  return { purser, web, api, ask }
}

test('requests over mutual TLS succeed through every rotation', async () => {
  const { purser, web, api, ask } = await meeting()
  expect(await ask()).toBe(webId)
  const rotations = [
    () => purser.rotateCa(),
    () => purser.rotateRoot(),
    () => web.renew(),
    () => api.renew(),
    () => purser.rotateRoot(),
    () => api.renew(),
    () => web.renew(),
  ]
  for (const rotate of rotations) {
    await rotate()
    expect(await ask()).toBe(webId)
  }
})

test('a revoked certificate is refused, also on an open connection', async () => {
  const { purser, web, ask } = await meeting()
  expect(await ask()).toBe(webId)
  await purser.revoke({ serialNumber: web.x509.serialNumber })
  expect(await ask().catch(() => 'refused')).not.toBe(webId)
  await web.renew()
  expect(await ask()).toBe(webId)
})

test('a compromised root is refused, and every renewed workload is accepted', async () => {
  const { purser, web, api, ask } = await meeting()
  expect(await ask()).toBe(webId)
  await purser.rotateRoot({ compromised: true })
  expect(await ask().catch(() => 'refused')).not.toBe(webId)
  await web.renew()
  await api.renew()
  expect(await ask()).toBe(webId)
})

test('tokens are verified through a rotation, and refused when revoked or of a compromised key', async () => {
  const { purser, web, api } = await meeting()
  const options = { audience: 'payments', revocationMaxAgeSeconds: 0 }
  const first = await web.jwt('payments')
  expect(await api.verifyJwt(first, options)).toMatchObject({ spiffeId: webId })
  await purser.rotateJwtKey()
  const [{ jti }] = [await api.verifyJwt(first, options)]
  await purser.revoke({ jti })
  expect((await failing(api.verifyJwt(first, options))).code).toBe('revoked')

  const other = await purser.connect({ spiffeId: webId })
  const second = await other.jwt('payments')
  expect(await api.verifyJwt(second, options)).toMatchObject({ spiffeId: webId })
  await purser.rotateJwtKey({ compromised: true })
  expect((await failing(api.verifyJwt(second, options))).code).toBe('bad_token')
})
