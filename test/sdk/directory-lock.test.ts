/** A state directory has one process at a time, however many start at once and whichever is killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type DirectoryLock, lockDirectory } from '../../sdk/src/state/directory-lock.ts'

function place(name = 'purser-lock-'): string {
  const dir = mkdtempSync(join(tmpdir(), name))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const sdk = new URL('../../sdk/src/state/directory-lock.ts', import.meta.url).href

/** Another process that takes the lock until it is killed. */
async function killedIn(dir: string): Promise<void> {
  const program = `const { lockDirectory } = await import(${JSON.stringify(sdk)})
console.log((await lockDirectory(${JSON.stringify(dir)})) !== undefined)
setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output] = (await once(child.stdout, 'data')) as [Buffer]
  expect(output.toString()).toBe('true\n')
  child.kill('SIGKILL')
  await once(child, 'close')
}

/** What a killed process leaves when it holds a socket of this name. */
async function leave(dir: string, name: string): Promise<void> {
  const program = `require('net').createServer().listen(${JSON.stringify(join(dir, name))}, () => process.kill(process.pid, 'SIGKILL'))`
  await once(spawn(process.execPath, ['-e', program]), 'close')
  expect(readdirSync(dir)).toContain(name)
}

const lockedOf = (locks: (DirectoryLock | undefined)[]): DirectoryLock[] => locks.filter((lock) => lock !== undefined)

test('has one holder at a time, and is free once released', async () => {
  const dir = place()
  const first = await lockDirectory(dir)
  expect(await lockDirectory(dir)).toBeUndefined()
  expect(await lockDirectory(dir)).toBeUndefined()
  first?.release()
  const second = await lockDirectory(dir)
  expect(second).toBeDefined()
  second?.release()
  expect(readdirSync(dir)).toEqual([])
})

test('passes from a killed process to exactly one of those that start', { timeout: 30_000 }, async () => {
  for (let round = 0; round < 12; round++) {
    const dir = place()
    for (let n = 0; n <= round % 3; n++) await leave(dir, n === 0 ? 'lock' : `lock.${n}`)
    const locks = await Promise.all(Array.from({ length: 2 + (round % 3) }, () => lockDirectory(dir)))
    expect(lockedOf(locks)).toHaveLength(1)
    expect(await lockDirectory(dir)).toBeUndefined()
    for (const lock of lockedOf(locks)) lock.release()
    expect(readdirSync(dir)).toEqual([])
  }
})

test('is found free when its process was killed', async () => {
  const dir = place()
  await killedIn(dir)
  expect(readdirSync(dir)).toHaveLength(1)
  const lock = await lockDirectory(dir)
  expect(lock).toBeDefined()
  lock?.release()
})

test('is not taken when the holder cannot be determined', async () => {
  const dir = place()
  // A connection fails with ELOOP. Another user's socket fails with EACCES, but not for root.
  symlinkSync('lock', join(dir, 'lock'))
  expect(await lockDirectory(dir)).toBeUndefined()
  expect(readdirSync(dir)).toEqual(['lock'])
})

test('leaves foreign files alone', async () => {
  const dir = place()
  writeFileSync(join(dir, 'identity.json'), '{}')
  const lock = await lockDirectory(dir)
  lock?.release()
  expect(readdirSync(dir)).toEqual(['identity.json'])
})

test('rejects a path that is too long for a socket and states the limit', async () => {
  const dir = join(place(), 'long'.repeat(30))
  await expect(lockDirectory(dir)).rejects.toThrow('107 bytes')
})
