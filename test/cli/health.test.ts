/** `purser health`, as the health check of a container runs it. */
import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { folder, settings } from '../support/doctor.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
beforeAll(async () => {
  purser = await startPurser({ tls: true, store: 'postgres' })
})
afterAll(() => purser.stop())

const health = (more: Record<string, string> = {}, ...flags: string[]) =>
  cli(['health', ...flags], { env: { ...settings(folder()), PURSER_LISTEN: new URL(purser.url).host, ...more } })

it('fails without a server, and at that of another trust domain', async () => {
  const unused = createServer().listen(0, '127.0.0.1')
  const address = await new Promise((resolve) => unused.once('listening', () => resolve(unused.address())))
  const { port } = address as { port: number }
  await new Promise((resolve) => unused.close(resolve))
  expect(await health({ PURSER_LISTEN: `127.0.0.1:${port}` })).toEqual({
    code: 5,
    out: '',
    err: `purser: no Purser of example.org answers on 127.0.0.1:${port}\n`,
  })
  expect(await health({ PURSER_TRUST_DOMAIN: 'other.example' })).toMatchObject({ code: 5, out: '' })
})

it('needs valid settings and a port', async () => {
  expect(await health({ PURSER_WORKERS: '0' })).toMatchObject({ code: 2, out: '' })
  expect(await health({ PURSER_LISTEN: '127.0.0.1:0' })).toMatchObject({
    code: 2,
    err: expect.stringContaining('set the port that health checks ask'),
  })
})

it('succeeds while the server is ready', async () => {
  expect(await health()).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^Purser .* is ready\n$/) })
  expect(JSON.parse((await health({}, '-o', 'json')).out)).toMatchObject({ ready: true, failing: [] })
})

it('fails while issuing is closed, when it succeeds with --live', async () => {
  await purser.knex('log_head').update({ issuing: false })
  await expect.poll(async () => (await purser.call('GET', '/readyz')).status, { timeout: 5000 }).toBe(503)
  expect(await health()).toMatchObject({ code: 1, err: expect.stringContaining('purser: not ready: issuing') })
  expect(await health({}, '--live')).toMatchObject({ code: 0, err: '' })
})
