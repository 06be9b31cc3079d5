/** The state directory stops taking what is written: a restart must not present what was spent meanwhile. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestPurser } from '@purser/sdk/testing'
import { expect, onTestFinished, test, vi } from 'vitest'

/** A test can't fill a disk. From here on, every write to a file fails as on a full disk. */
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

test('a full disk: a restart finds nothing, rather than what was spent', async () => {
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

test('one that takes nothing, not even a removal: what is kept is not spent, so the proof is presented', async () => {
  const { file, start, requestCount } = place()
  const before = await start()
  const state = readFileSync(file)
  // Not to be unlinked, whoever runs this.
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
