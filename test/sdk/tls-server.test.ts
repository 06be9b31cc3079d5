/** purser.tls.server: who gets in, and what happens to those who don't. */
import { once } from 'node:events'
import { type RequestOptions, request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { peerOf } from '@purser/sdk'
import { expect, test, onTestFinished } from 'vitest'
import { createCa, createWorkload, idOf, issue } from './workloads.ts'

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

function get(options: RequestOptions): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', path: '/', ...options }, (response: IncomingMessage) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

test('works', async () => {
  const ca = createCa()
  const server = createWorkload(issue(ca, { spiffeId: idOf('server') }))
  const client = createWorkload(issue(ca))
  const https = server.tls.server({ accept: idOf('web') }, (req, res) => res.end(peerOf(req).spiffeId))
  const port = await listen(https)
  expect(await get({ port, agent: false, ...client.tls.client({ accept: idOf('server') }) })).toEqual({
    status: 200,
    text: idOf('web'),
  })
  const agent = client.tls.agent({ accept: idOf('*') })
  expect(await get({ port, agent })).toEqual({ status: 200, text: idOf('web') })
  expect(await get({ port, agent })).toEqual({ status: 200, text: idOf('web') })
  agent.destroy()
})
