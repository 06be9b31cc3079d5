/** Small files in PURSER_STATE_DIR: whole or not there, and nobody else's to read. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

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

/**
 * Why others could change what lies in a folder. Its owner, and all who may write in it, can put another file in the place of
 * one that is there; the sticky bit leaves that to the owners (inode(7)).
 * @param user root's folders are as good as this user's own; on Windows there are no such owners
 */
export function folderFault(
  { uid, mode }: { uid: number; mode: number },
  user = process.geteuid?.(),
): string | undefined {
  if (user === undefined) return undefined
  if (uid !== user && uid !== 0) return `it belongs to user ${uid}, and this process runs as user ${user}`
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)
    return `others may write in it (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
  return undefined
}

/** The directory is made with mode 0700 where it is missing, but not its parents: a mistyped path fails. Its owner can replace each file. */
export async function makeDirectory(dir: string): Promise<void> {
  // Node's recursive form never ends in /proc.
  await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST')) throw error
  })
  const { uid } = await stat(dir)
  const fault = folderFault({ uid, mode: 0 })
  if (fault !== undefined) throw new Error(fault)
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
