/** Directories that all workers of a run share: expensive files are created once, and copied. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, open, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { inject } from 'vitest'

const run = promisify(execFile)

const isFirst = (path: string): Promise<boolean> =>
  open(path, 'wx').then(
    async (file) => {
      await file.close()
      return true
    },
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false
      throw error
    },
  )

/** Returns the directory of this name. The first caller of a run fills it; the others wait. */
export async function sharedDirectory(name: string, fill: (directory: string) => Promise<void>): Promise<string> {
  const path = join(inject('runDirectory'), name)
  if (existsSync(path)) return path
  if (await isFirst(`${path}.claim`)) {
    try {
      await mkdir(`${path}.draft`, { mode: 0o700 })
      await fill(`${path}.draft`)
      await rename(`${path}.draft`, path)
    } catch (error) {
      await writeFile(`${path}.failed`, '')
      throw error
    }
  }
  while (!existsSync(path)) {
    if (existsSync(`${path}.failed`)) throw new Error(`another worker could not create ${path}`)
    await pause(50)
  }
  return path
}

/** Copies the contents of a directory, with owners and modes. `cp` of node:fs takes twenty times the CPU time. */
export async function copyDirectory(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  await run('cp', ['-a', `${from}/.`, to])
}
