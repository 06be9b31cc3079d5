/** A containment also refuses connections that are open already, by their client certificate. */
import { Agent } from 'node:https'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createContain } from '../support/contain.ts'
import { createClock } from '../support/clock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { type Ask, createAsk } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let ask: Ask
let lab: Lab
let tools: ReturnType<typeof createContain>
beforeAll(async () => {
  purser = await startPurser({ tls: true })
  ask = createAsk(purser)
  lab = await createLab(purser)
  tools = createContain(purser, ask, createClock())
})
afterAll(() => purser.stop())

const subjects: [string, (session: string) => object][] = [
  ['a session', (session) => ({ session })],
  ['selectors', () => ({ attestor: 'lab', selectors: { 'oidc:sub': 'web' } })],
  ['an attestor', () => ({ attestor: 'lab' })],
]

it.each(subjects)('of %s refuses the certificate of an open connection within a second', async (_, matchOf) => {
  const pod = await lab.get({ sub: 'web' })
  const key = pod.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const self = () =>
    purser.call('GET', '/api/v1/credentials/self', undefined, { client: { cert: pod.chain, key }, agent })
  expect((await self()).status).toBe(200)
  const { id } = await tools.contain(matchOf(pod.session), { rotate: false })
  expect((await self()).status).toBe(401)
  expect((await self()).status).toBe(401)
  expect((await tools.release(id)).status).toBe(200)
  // The certificate stays revoked, and its session ended.
  expect((await self()).status).toBe(401)
  expect((await lab.ask({ sub: 'web' })).status).toBe(200)
  agent.destroy()
})
