/** Every command of docs/secrets.md, as a person would type it: a real shell, a real server over TLS. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { openPage, serverLine } from '../support/page.ts'
import { runShell } from '../support/shell.ts'

const page = openPage('secrets.md')
let purser: TestPurser

beforeAll(async () => {
  purser = await startPurser({ tls: true })
})
afterAll(async () => {
  await purser.stop()
  page.remove()
})

const value = async (path: string): Promise<unknown> =>
  (await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, { 'purser-reason': 'test' })).body['data']

it('runs from the first to the last, with the output of the page', async () => {
  expect(page.blocks.length).toBeGreaterThan(5)
  const env = [page.path, serverLine(purser)]
  let out = ''
  for (const block of page.blocks) {
    const result = await runShell('sh', ['-eu', '-c', [...env, block].join('\n')], { cwd: page.folder })
    expect({ block, code: result.code, err: result.code === 0 ? '' : result.err }).toEqual({ block, code: 0, err: '' })
    out += result.out
  }
  expect(readFileSync(join(page.folder, 'password'), 'utf8')).toBe('battery-staple')
  expect(JSON.parse(readFileSync(join(page.folder, 'first.json'), 'utf8'))).toEqual({
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
