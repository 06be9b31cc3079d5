/** Every command of docs/operators.md, as a person would type it: a real shell, a real server over TLS. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { openPage, serverLine } from '../support/page.ts'
import { runShell } from '../support/shell.ts'

const page = openPage('operators.md')
let purser: TestPurser

beforeAll(async () => {
  purser = await startPurser({ tls: true })
})
afterAll(async () => {
  await purser.stop()
  page.remove()
})

it('runs from the first to the last, with the output of the page', async () => {
  expect(page.blocks.length).toBeGreaterThan(8)
  const lines = [
    page.path,
    serverLine(purser),
    ...page.blocks,
    'printf %s "$PURSER_API_TOKEN" > last-token; printf %s "$SUSPECT" > suspect-id',
  ]
  const result = await runShell('sh', ['-eu', '-c', lines.join('\n')], { cwd: page.folder })
  expect({
    code: result.code,
    err: result.code === 0 ? '' : result.err,
    out: result.code === 0 ? '' : result.out,
  }).toEqual({
    code: 0,
    err: '',
    out: '',
  })

  const read = (name: string): string => readFileSync(join(page.folder, name), 'utf8').trim()
  const [token, leaked, ci] = [read('last-token'), purser.admin, read('ci-token')]
  const ask = createAsk(purser)
  expect(fault(await ask('whoAmI', { token: leaked }))).toBe('401 unauthenticated')
  expect(fault(await ask('listWorkloads', { token: ci }))).toBe('403 forbidden')
  const limited = (JSON.parse(read('ci-token.json')) as { token: string }).token
  expect(fault(await ask('listWorkloads', { token: limited }))).toBe('200 ')
  for (const token of [read('ada-token'), read('short-token'), read('suspect-token')])
    expect(fault(await ask('whoAmI', { token: token }))).toBe('401 unauthenticated')
  const { items } = (await ask('listOperators', { token })).body as { items: { name: string; disabled: boolean }[] }
  expect(items.map(({ name, disabled }) => (disabled ? `${name} (disabled)` : name))).toEqual([
    'admin',
    'cleo',
    'dan (disabled)',
    'shop-ci',
    'shop-cid',
    'shop-lead',
  ])
  const entries = await readLog(purser)
  const revoked = entries.find(({ action, outcome }) => action === 'token.revoke' && outcome === 'granted')
  expect(revoked?.resource).toMatchObject({ id: read('suspect-id'), name: 'cleo' })
  const text = `${result.out}${result.err}${JSON.stringify(entries)}`
  for (const value of [token, leaked, ci, limited]) expect(text).not.toContain(value)
})
