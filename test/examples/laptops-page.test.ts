/** Every command of docs/laptops.md, as an admin and a developer would type it, at a real OpenID provider. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { type LoginProvider, startLoginProvider } from '../support/login-provider.ts'
import { readLog } from '../support/operator.ts'
import { openPage, serverLine } from '../support/page.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { runShell } from '../support/shell.ts'

const page = openPage('laptops.md')
let provider: LoginProvider
let purser: TestPurser

beforeAll(async () => {
  provider = await startLoginProvider()
  purser = await startPurser({ tls: true, env: { PURSER_FETCH_ALLOW: provider.issuer } })
}, 60_000)
afterAll(async () => {
  provider.stop()
  await purser.stop()
  page.remove()
})

it('runs from the first to the last, with the output of the page', async () => {
  const inFolder = (name: string): string => join(page.folder, name)
  writeFileSync(inFolder('roots.pem'), provider.caPem)
  const start = 'echo "$DB_USERNAME $DB_PASSWORD" > started'
  writeFileSync(inFolder('package.json'), JSON.stringify({ name: 'shop', private: true, scripts: { start } }))
  const lines = [page.path, serverLine(purser), `export HOME=${page.folder} PURSER_LOG_KEY='${purser.vkeys.join(' ')}'`]
  const commands = page.blocks.map((block) =>
    block.replace('https://login.corp.example', `${provider.issuer} --issuer-ca roots.pem`),
  )
  expect(commands).toHaveLength(5)

  const running = runShell('sh', ['-eu', '-c', [...lines, 'exec 2> messages', ...commands].join('\n')], {
    cwd: page.folder,
  })
  const messages = (): string => (existsSync(inFolder('messages')) ? readFileSync(inFolder('messages'), 'utf8') : '')
  const link = await vi.waitFor(
    () => /open (https:\S+user_code=\S+)/.exec(messages())?.[1] ?? Promise.reject(new Error(messages())),
    { timeout: 40_000, interval: 100 },
  )
  await provider.visit(link, 'ada')
  const { code, out } = await running
  expect([code, code === 0 ? '' : messages()]).toEqual([0, ''])

  expect(readFileSync(inFolder('started'), 'utf8')).toBe('shop only-for-development\n')
  expect(out).toContain('user shop\n')
  expect(out).toMatch(/^workload +spiffe:\/\/example\.org\/corp\/ada$/m)
  expect(messages().match(/Logged in as ada/g)).toHaveLength(1)
  expect(`${out}${messages()}${JSON.stringify(await readLog(purser))}`).not.toContain('only-for-development')
}, 60_000)
