/** Every command of docs/first-hour.md, as a new user would type it: a real shell and a server of its own. */
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { builtMain } from '../support/main.ts'
import { runShell } from '../support/shell.ts'
import { root } from '../support/source-files.ts'

const page = readFileSync(join(root, 'docs/first-hour.md'), 'utf8')
const blocks = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block)
const folder = mkdtempSync(join(tmpdir(), 'purser-page-'))

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

beforeAll(() => {
  writeFileSync(join(folder, 'purser'), `#!/bin/sh\nexec "${process.execPath}" "${builtMain()}" "$@"\n`)
  chmodSync(join(folder, 'purser'), 0o755)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('runs from the first to the last, and does what the page says', async () => {
  expect(blocks.length).toBeGreaterThan(10)
  const port = await freePort()
  // The page has the usual port. The server ends with the shell, also where a command fails.
  const script = ["trap 'kill $SERVER 2>/dev/null; wait' EXIT", ...blocks].join('\n').replaceAll(':8443', `:${port}`)
  const ran = await runShell('sh', ['-eu', '-c', `PATH="${folder}:$PATH"\nexport PATH\n${script}`], { cwd: folder })
  expect({ code: ran.code, err: ran.code === 0 ? '' : ran.err }).toEqual({ code: 0, err: '' })
  const { out } = ran
  expect(out).toMatch(/web runs with a key of 32 characters/)
  expect(out).toMatch(/state +contained/)
})
