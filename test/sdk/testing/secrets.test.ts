/** Secrets of a Purser in memory: what a program's own tests see of a rotation. */
import { createTestPurser } from '@purser/sdk/testing'
import { expect, onTestFinished, test, vi } from 'vitest'
import { failing } from '../failing.ts'

const patience = { timeout: 20_000, interval: 10 }
const spiffeId = 'spiffe://example.org/web'

function inMemory() {
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  return purser
}

test('come with connect(), are read, watched, acknowledged, and destroyed', async () => {
  const purser = inMemory()
  expect(purser.setSecret('prod/db', { password: 'one' })).toBe(1)
  const web = await purser.connect({ spiffeId, secrets: ['prod/db', { path: 'prod/none', optional: true }] })
  expect((await web.secrets.get('prod/db')).data).toEqual({ password: 'one' })
  const versions: unknown[] = []
  const watch = web.secrets.watch('prod/db', ({ version, data }) => void versions.push([version, data['password']]))
  watch.on('removed', ({ path }) => versions.push(path))
  expect(purser.setSecret('prod/db', { password: 'two' })).toBe(2)
  await vi.waitFor(() => expect(versions).toEqual([[2, 'two']]), patience)
  const session = web.session.id
  await vi.waitFor(
    () =>
      expect(purser.consumers('prod/db')).toEqual([
        { session, spiffeId, version: 1, acknowledged: false },
        { session, spiffeId, version: 2, acknowledged: true },
      ]),
    patience,
  )
  expect((await web.secrets.get('prod/db', { version: 1 })).data).toEqual({ password: 'one' })
  purser.removeSecret('prod/db')
  await vi.waitFor(() => expect(versions.at(-1)).toBe('prod/db'), patience)
  expect((await failing(web.secrets.get('prod/db'))).code).toBe('not_found')
  expect(purser.setSecret('prod/db', { password: 'three' })).toBe(3)
  await vi.waitFor(() => expect(versions.at(-1)).toEqual([3, 'three']), patience)
  expect(JSON.stringify(purser.requests)).not.toContain('three')
})

test.each([
  [['prod/db'], 'prod/db', true],
  [['prod/*'], 'prod/db', true],
  [['prod/*'], 'prod/a/b', false],
  [['prod/**'], 'prod/a/b', true],
  [['prod/**'], 'prod', false],
  [['*/db'], 'prod/db', true],
  [[], 'prod/db', false],
])('a grant of %j for %s: %s', async (secretPaths, path, isGranted) => {
  const purser = inMemory()
  purser.setSecret(path, { v: 1 })
  const web = await purser.connect({ spiffeId, secretPaths })
  const read = web.secrets.get(path)
  if (isGranted) expect((await read).data).toEqual({ v: 1 })
  else expect((await failing(read)).code).toBe('not_granted')
})

test('during an outage held secrets are used, and changes are delivered afterwards', async () => {
  const purser = inMemory()
  purser.setSecret('prod/db', { v: 1 })
  const web = await purser.connect({ spiffeId, secrets: ['prod/db'] })
  const versions: unknown[] = []
  const watch = web.secrets.watch('prod/db', ({ version }) => void versions.push(version))
  watch.on('error', ({ code }) => versions.push(code))
  await vi.waitFor(() => expect(purser.requests.at(-1)?.path).toBe('/api/v1/watch'), patience)
  purser.away()
  purser.setSecret('prod/db', { v: 2 })
  await vi.waitFor(() => expect(versions).toEqual(['incomplete']), patience)
  expect((await web.secrets.get('prod/db')).version).toBe(1)
  purser.back()
  await vi.waitFor(() => expect(versions.at(-1)).toBe(2), patience)
})

test('a revoked session receives nothing more', async () => {
  const purser = inMemory()
  purser.setSecret('prod/db', { v: 1 })
  const web = await purser.connect({ spiffeId, secrets: ['prod/db'] })
  const versions: unknown[] = []
  const watch = web.secrets.watch('prod/db', ({ version }) => void versions.push(version))
  watch.on('error', ({ code }) => versions.push(code))
  await vi.waitFor(() => expect(purser.requests.at(-1)?.path).toBe('/api/v1/watch'), patience)
  await purser.revoke({ session: web.session.id })
  purser.setSecret('prod/db', { v: 2 })
  await vi.waitFor(() => expect(versions).toEqual(['unauthenticated']), patience)
})

test('a malformed path is refused before anything is stored', () => {
  expect(() => inMemory().setSecret('PROD', {})).toThrow(expect.objectContaining({ code: 'bad_options' }))
  expect(() => inMemory().removeSecret('prod/none')).toThrow(expect.objectContaining({ code: 'not_found' }))
})
