/** The state directory accepts no more writes: a restart must not present a spent certificate. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestPurser } from '@purser/sdk/testing'
import { expect, onTestFinished, test, vi } from 'vitest'

/** A test cannot fill a disk. From here on, every write to a file fails as on a full disk. */
async function fillDisk(): Promise<() => void> {
  const handle = await open(tmpdir())
  const writes = vi
    .spyOn(Object.getPrototypeOf(handle) as typeof handle, 'writeFile')
    .mockRejectedValue(Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' }))
  await handle.close()
  onTestFinished(() => writes.mockRestore())
  return () => writes.mockRestore()
}

const spiffeId = 'spiffe://example.org/web'

function place() {
  const parent = mkdtempSync(join(tmpdir(), 'purser-state-'))
  const purser = createTestPurser()
  onTestFinished(() => {
    purser.close()
    rmSync(parent, { recursive: true, force: true })
  })
  const stateDir = join(parent, 'state')
  const warnings: string[] = []
  const onWarning = (warning: string): void => void warnings.push(warning)
  const start = () => purser.connect({ spiffeId, sessionSeconds: 36_000, stateDir, onWarning, receipts: 'off' })
  const requestCount = () =>
    purser.requests.filter(({ path }) => path === '/api/v1/credentials').map(({ by, reason }) => [by, reason])
  return { file: join(stateDir, 'identity.json'), warnings, start, requestCount }
}

test('a full disk: a restart finds no state instead of a spent certificate', async () => {
  const { file, warnings, start, requestCount } = place()
  const before = await start()
  const freeDisk = await fillDisk()
  await before.renew()
  expect(existsSync(file)).toBe(false)
  await before.renew()
  before.close()
  expect(warnings).toEqual([expect.stringContaining("can't be stored")])
  freeDisk()
  const after = await start()
  expect(requestCount()).toEqual([
    ['jwt', undefined],
    ['certificate', undefined],
    ['certificate', undefined],
    ['jwt', undefined],
  ])
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ serialNumber: after.x509.serialNumber })
})

test('a directory that refuses even removal: the state on disk is unspent, so the proof is presented', async () => {
  const { file, start, requestCount } = place()
  const before = await start()
  const state = readFileSync(file)
  // The file cannot be unlinked, whichever user runs the test.
  rmSync(file)
  mkdirSync(join(file, 'in the way'), { recursive: true })
  await before.renew()
  before.close()
  rmSync(file, { recursive: true })
  writeFileSync(file, state, { mode: 0o600 })
  await start()
  expect(requestCount()).toEqual([
    ['jwt', undefined],
    ['jwt', undefined],
    ['certificate', undefined],
  ])
})
