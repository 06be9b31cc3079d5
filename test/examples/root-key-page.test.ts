/**
 * The runbook of a leaked root key in docs/incidents.md: first with every replica stopped, then beside the restarted
 * server.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createLab } from '../support/lab.ts'
import { openPage, serverLine } from '../support/page.ts'
import { createPlace } from '../support/place.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { runShell } from '../support/shell.ts'

const page = openPage('incidents.md', ['A leaked root key'])
const policy = { rotator: { kind: 'generated', fields: { password: { length: 32, alphabet: 'alphanumeric' } } } }
let place: Awaited<ReturnType<typeof createPlace>>
let purser: TestPurser

const exports = (env: Record<string, string>): string =>
  Object.entries(env)
    .map(([name, value]) => `export ${name}='${value}'`)
    .join('\n')

const shell = (lines: string[]) => runShell('sh', ['-eu', '-c', lines.join('\n')], { cwd: page.folder })

const valueOf = async (path: string): Promise<unknown> =>
  (await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, { 'purser-reason': 'test' })).body['data']

const roots = async (): Promise<string[]> =>
  (await purser.call('GET', '/ca.pem')).text.match(/-----BEGIN CERTIFICATE-----[^-]+/g) ?? []

beforeAll(async () => {
  place = await createPlace('postgres')
  purser = await place.start('', {}, true)
  for (const path of ['prod/db', 'prod/license'])
    await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { password: 'first' } }, { 'if-match': '"0"' })
  await purser.asAdmin('PUT', '/api/v1/secrets/prod/db:rotation', policy, { 'if-match': '"0"' })
})
afterAll(async () => {
  await purser.stop()
  await place.remove()
  page.remove()
})

it('runs as the page says, and everything from before is refused', async () => {
  const [whileStopped = '', ...whileRunning] = page.blocks
  expect(whileRunning.length).toBeGreaterThan(3)
  const lab = await createLab(purser)
  const before = await lab.get()
  const rootsBefore = await roots()
  await purser.stop()

  const rotation = await shell([page.path, exports(place.env()), whileStopped])
  expect({ code: rotation.code, err: rotation.code === 0 ? '' : rotation.err }).toEqual({ code: 0, err: '' })
  await expect(place.start(purser.admin, {}, true)).rejects.toThrow(/root key/)

  const rootKey = readFileSync(join(place.dataDir, 'root-key.new'), 'utf8').trim()
  const { DATABASE_URL: url = '', ...env } = { ...place.env(), PURSER_ROOT_KEY: rootKey }
  purser = await startPurser({ tls: true, existing: { rootKey, dataDir: place.dataDir, admin: purser.admin, url } })
  const later = [page.path, exports({ ...env, DATABASE_URL: url }), serverLine(purser), ...whileRunning]
  const replaced = await shell(later)
  expect({ code: replaced.code, err: replaced.code === 0 ? '' : replaced.err }).toEqual({ code: 0, err: '' })
  expect(replaced.out).toMatch(/^by hand: prod\/license$/m)
  await vi.waitFor(
    async () => {
      await purser.runJobs()
      expect(await valueOf('prod/db')).toEqual({ password: expect.stringMatching(/^[A-Za-z0-9]{32}$/) })
    },
    { timeout: 10_000, interval: 100 },
  )

  const check = await purser.asAdmin('POST', '/api/v1/introspect', { token: before.jwt })
  expect(check.body['active']).toBe(false)
  const rootsAfter = await roots()
  expect([rootsBefore.length, rootsAfter.length]).toEqual([1, 1])
  expect(rootsAfter).not.toEqual(rootsBefore)
})
