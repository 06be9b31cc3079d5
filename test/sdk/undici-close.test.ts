/** A closing dispatcher: running requests complete, and no request begins. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createDispatcher } from '@purser/sdk/undici'
import { expect, onTestFinished, test } from 'vitest'
import { secondsFrom } from '../support/test-ca.ts'
import { listen } from './exchange.ts'
import { type Workload, createCa, createWorkload, idOf, issue } from './workloads.ts'

const ca = createCa()

/** Holds the first answer back until the test releases it; `requestCount` counts requests. */
async function start(notAfter: Date) {
  const server = createWorkload(issue(ca, idOf('server'), { notAfter }))
  const responses: ServerResponse[] = []
  const https = server.tls.server({ accept: idOf('*') }, (_, response) => {
    responses.push(response)
    if (responses.length > 1) response.end('another')
  })
  const port = await listen(https)
  const client = createWorkload(issue(ca))
  const dispatcher = createDispatcher(client, { accept: idOf('server') })
  onTestFinished(() => dispatcher.destroy())
  const ask = () => dispatcher.request({ origin: `https://127.0.0.1:${port}`, path: '/', method: 'GET' })
  const first = ask()
  await once(https, 'request')
  return { client, dispatcher, ask, first, responses }
}

test.each<[string, number, (client: Workload) => Promise<unknown> | void]>([
  ['the identity moved on', 3600, (client) => client.become(issue(ca))],
  ['a certificate of a peer ended', 5, () => new Promise((resolve) => setTimeout(resolve, 5100))],
])('while it closes, %s: no request begins', async (_, seconds, happen) => {
  const { client, dispatcher, ask, first, responses } = await start(secondsFrom(new Date(), seconds))
  const closed = dispatcher.close()
  await happen(client)
  await expect(ask()).rejects.toMatchObject({ code: 'UND_ERR_CLOSED' })
  responses[0]?.end('the first')
  expect(await (await first).body.text()).toBe('the first')
  await closed
  expect(responses).toHaveLength(1)
})

test('after it was closed, another identity opens no connection', async () => {
  const { client, dispatcher, ask, first, responses } = await start(secondsFrom(new Date(), 3600))
  responses[0]?.end('the first')
  await (await first).body.text()
  await dispatcher.close()
  client.become(issue(ca))
  await expect(ask()).rejects.toMatchObject({ code: expect.stringMatching(/^UND_ERR_(CLOSED|DESTROYED)$/) as string })
  expect(responses).toHaveLength(1)
})
