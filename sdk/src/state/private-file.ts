/** Small files in PURSER_STATE_DIR: written atomically, and readable only by their owner. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

/**
 * Reads a file that belongs to this user and is not open to everyone. Its group may have access: Kubernetes gives the files
 * of a volume to a group (fsGroup).
 * @param user the required owner; undefined on Windows, which has no such owners
 * @returns undefined if there is no such file
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
      throw new Error(`it belongs to user ${uid}, but this process runs as user ${user}`)
    if (user !== undefined && (mode & 0o007) !== 0)
      throw new Error(`it is open to everyone (mode ${(mode & 0o777).toString(8)}); set mode 600`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/**
 * Why other users could replace the files of a folder. Its owner, and all who may write in it, can do so; the sticky bit
 * restricts that to the owners (inode(7)).
 * @param user the required owner, or root; undefined on Windows, which has no such owners
 * @returns the fault in words; undefined without a fault
 */
export function folderFault(
  { uid, mode }: { uid: number; mode: number },
  user = process.geteuid?.(),
): string | undefined {
  if (user === undefined) return undefined
  if (uid !== user && uid !== 0) return `it belongs to user ${uid}, but this process runs as user ${user}`
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)
    return `other users may write in it (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
  return undefined
}

/** Creates a missing directory with mode 0700, but not its parents, so that a mistyped path fails. Its owner must be this user. */
export async function makeDirectory(dir: string): Promise<void> {
  // Node's recursive form does not terminate in /proc.
  await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST')) throw error
  })
  const { uid } = await stat(dir)
  const fault = folderFault({ uid, mode: 0 })
  if (fault !== undefined) throw new Error(fault)
}

/** Writes with mode 0600, and syncs before the file gets its name. */
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
