/** Writes a file completely or not at all: under a temporary name first, then renamed. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, lstat, open, rename, rm } from 'node:fs/promises'
import { codeOf, usageError } from '../io.ts'

/**
 * A symbolic link is replaced, not followed.
 * @throws CliError before `fill` runs when the file cannot be written
 */
export async function writeWholeFile<T>(
  path: string,
  { force = false }: { force?: boolean | undefined },
  fill: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const fail = (error: unknown): never => {
    throw unwritable(path, codeOf(error) ?? 'unknown')
  }
  await checkPlace(path, force)
  const temporary = `${path}.new-${randomBytes(8).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o600).catch(fail)
    let result: T
    try {
      result = await fill(file)
    } finally {
      await file.close()
    }
    // Another process may have written the file in the meantime.
    await checkPlace(path, force)
    await rename(temporary, path).catch(fail)
    return result
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined)
  }
}

async function checkPlace(path: string, force: boolean): Promise<void> {
  const present = await lstat(path).catch(() => undefined)
  if (!present) return
  if (!force) throw unwritable(path, 'it exists: name another file, or overwrite it with --force')
  if (!present.isFile() && !present.isSymbolicLink()) throw unwritable(path, 'it is not a regular file: name another')
}

const unwritable = (path: string, why: string): Error => usageError(`can't write ${path}: ${why}`)
