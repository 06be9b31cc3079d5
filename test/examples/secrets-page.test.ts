/** Every command of docs/secrets.md, as a person would type it: a real shell, a real server over TLS. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { builtMain } from '../support/main.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { runShell } from '../support/shell.ts'
import { root } from '../support/source-files.ts'

const page = readFileSync(join(root, 'docs/secrets.md'), 'utf8')
const blocks = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block)
const folder = mkdtempSync(join(tmpdir(), 'purser-page-'))
let purser: TestPurser

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  writeFileSync(join(folder, 'purser'), `#!/bin/sh\nexec "${process.execPath}" "${builtMain()}" "$@"\n`)
  chmodSync(join(folder, 'purser'), 0o755)
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

const value = async (path: string): Promise<unknown> =>
  (await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, { 'purser-reason': 'test' })).body['data']

it('runs from the first to the last, and does what the page says', async () => {
  expect(blocks.length).toBeGreaterThan(5)
  const env = [
    `PATH="${folder}:$PATH"`,
    `export PATH PURSER_ADDR=${purser.url} PURSER_CA_FILE=${join(purser.dataDir, 'ca.pem')} PURSER_API_TOKEN=${purser.admin}`,
  ]
  let out = ''
  for (const block of blocks) {
    const ran = await runShell('sh', ['-eu', '-c', [...env, block].join('\n')], { cwd: folder })
    expect({ block, code: ran.code, err: ran.code === 0 ? '' : ran.err }).toEqual({ block, code: 0, err: '' })
    out += ran.out
  }
  expect(readFileSync(join(folder, 'password'), 'utf8')).toBe('battery-staple')
  expect(JSON.parse(readFileSync(join(folder, 'first.json'), 'utf8'))).toEqual({
    username: 'app',
    password: 'correct-horse',
  })
  expect(out).toMatch(/secret prod\/db\/password created, version 1/)
  expect(out).toMatch(/would be created +prod\/web\/env/)
  expect(out).toMatch(/^created +prod\/web\/env/m)
  expect(await value('prod/db/password')).toEqual({ username: 'app', password: 'third' })
  expect(await value('prod/web/env')).toEqual({ DATABASE_HOST: 'db.internal', DATABASE_PASSWORD: 's3cr et' })
  expect(out).not.toMatch(/battery-staple|correct-horse|s3cr et|third/)
})
