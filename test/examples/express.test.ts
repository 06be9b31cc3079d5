/** examples/express, run as its README says. */
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { sdkImport } from '../support/built-sdk.ts'
import { type Dev, startDev } from '../support/dev.ts'
import { runShell } from '../support/shell.ts'

// Two services start one after the other, in seconds on an idle machine.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

const script = fileURLToPath(new URL('../../examples/express/run.sh', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))
let dev: Dev
beforeAll(async () => {
  dev = await startDev()
})
afterAll(async () => {
  await dev.stop()
  dev.forget()
})

it('calls one service from the other, each identified by its SPIFFE ID', async () => {
  const { code, out, err } = await runShell('env', ['PORT=19443', script, dev.dataDir], {})
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out.split('\n')).toEqual([
    'spiffe://dev.purser.local/dev/orders listens on https://127.0.0.1:19443',
    '{"orders":["tea","rope"],"caller":"spiffe://dev.purser.local/dev/web"}',
    '',
  ])
})

it('refuses a workload that it does not accept', async () => {
  const node = `node --import ${sdkImport()} --env-file=${dev.dataDir}/dev/orders.env`
  const orders = `PORT=19444 ${node} examples/express/orders.js > ${dev.dataDir}/up & trap "kill $!" EXIT`
  const wait = `for n in $(seq 100); do grep -q listens ${dev.dataDir}/up && break; sleep 0.2; done`
  const { code, err } = await runShell('sh', ['-c', `${orders}; ${wait}; PORT=19444 ${node} examples/express/web.js`], {
    cwd: root,
  })
  expect(code).not.toBe(0)
  // The workload orders gets no token for itself; without a token its connection would be cut.
  expect(err).toMatch(/not_granted|socket hang up|ECONNRESET/)
})
