/** The first screen of README.md, run unchanged on a server of `purser dev`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { type Dev, startDev } from '../support/dev.ts'
import { runShell } from '../support/shell.ts'

// The command starts once for each step.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const root = new URL('../../', import.meta.url).pathname
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const [, screen = ''] = /^```sh\n(\. purser-data\/dev\/operator\.sh[\s\S]*?)^```$/m.exec(readme) ?? []
const [setUp = '', ...steps] = screen.split(/^(?=# )/m)

let dev: Dev
beforeAll(async () => {
  dev = await startDev()
})
afterAll(async () => {
  await dev.stop()
  dev.forget()
})

const step = (n: number) =>
  runShell('sh', ['-s'], { cwd: root, input: `${setUp}${steps[n]}`.replaceAll('purser-data', dev.dataDir) })

it('has four commands', () => {
  expect(steps.map((step) => step.split('\n')[0])).toEqual([
    '# certificate, JWT, secret and receipt, in one request',
    '# who holds that secret now, with proof',
    '# change one word in a copy of the log: the verifier names the entry',
    '# another workload asks for it and is refused: why?',
  ])
})

it('prints the stated output', async () => {
  const issuance = await step(0)
  expect({ code: issuance.code, err: issuance.err }).toEqual({ code: 0, err: '' })
  const reply: { session: { id: string }; receipt: { index: number } } = JSON.parse(issuance.out)
  expect(reply).toMatchObject({
    x509: { certificateChain: expect.any(String) },
    jwts: [{ audience: ['orders'] }],
    secrets: [{ path: 'dev/web/database', data: { username: 'web', password: expect.any(String) } }],
  })
  const { index } = reply.receipt
  const listing = await step(1)
  expect(listing.out).toMatch(new RegExp(`^web +${reply.session.id} +1 +entry ${index} +verified$`, 'm'))
  const verified = await step(2)
  expect(verified.code).toBe(4)
  expect(verified.out).toContain(`entry ${index}: entry_mismatch`)
  const explained = await step(3)
  expect({ code: explained.code, err: explained.err }).toEqual({ code: 0, err: '' })
  expect(explained.out).toMatch(/^refused +not_granted: /)
})
