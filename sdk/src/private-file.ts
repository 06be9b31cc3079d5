/** Small files in PURSER_STATE_DIR: whole or not there, and nobody else's to read. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

/** Undefined where there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/**
 * What nobody else can have written, nor everybody have read. A group may: Kubernetes gives it a volume's files
 * (fsGroup).
 * @param user whose it has to be; nobody's in particular on Windows, where there are no such owners
 * @returns undefined where there is no such file
 */
export async function readPrivate(path: string, user = process.geteuid?.()): Promise<string | undefined> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    const { uid, mode } = await file.stat()
    if (user !== undefined && uid !== user)
      throw new Error(`it belongs to the user ${uid}, and this process is ${user}'s`)
    if (user !== undefined && (mode & 0o007) !== 0)
      throw new Error(`it is open to everybody (mode ${(mode & 0o777).toString(8)}); 600 is enough`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/** The directory is made with mode 0700 where it is missing, but not its parents: a mistyped path fails. */
export async function makeDirectory(dir: string): Promise<void> {
  // Node's recursive form never ends in /proc.
  await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST')) throw error
  })
}

/** Mode 0600, on the disk before it gets its name. */
export async function writePrivate(path: string, text: string): Promise<void> {
  await makeDirectory(dirname(path))
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}
