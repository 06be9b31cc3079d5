/** Which folders take files with secrets, by who else may write in them (inode(7)). */
import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { folderFault } from '@purser/sdk/checks'

type Folder = { uid: number; mode: number; dev: number }
type Judgement = { fault?: string; warning?: string }

const groupWrite = 0o020
const anyWrite = 0o022
const sticky = 0o1000

/**
 * A group alone is let in with a warning: Kubernetes gives it volumes (fsGroup), and umask 002 gives it home folders. So
 * are all users to the root of a volume that is root's: an emptyDir has mode 0777, and is one pod's. A sticky one is a
 * place that users share.
 * @param parentDevice another one than the folder's where a volume is mounted
 */
export function judgeFolder(folder: Folder, parentDevice: number): Judgement {
  const fault = folderFault(folder)
  if (fault === undefined) return {}
  const { uid, mode, dev } = folder
  const isVolume = uid === 0 && dev !== parentDevice && (mode & sticky) === 0
  const tolerated = isVolume ? anyWrite : groupWrite
  return folderFault({ uid, mode: mode & ~tolerated }) === undefined ? { warning: fault } : { fault }
}

/** For a folder whose files others must not even put beside ours: the sticky bit does not keep out links of theirs. */
export function judgePrivateFolder(folder: Folder, parentDevice: number): Judgement {
  const isShared = (folder.mode & sticky) !== 0
  if (!isShared) return judgeFolder(folder, parentDevice)
  const fault = folderFault({ uid: folder.uid, mode: folder.mode & ~sticky })
  return fault === undefined ? {} : { fault }
}

/** A folder that is missing has no fault: it is made with mode 0700. */
export async function lookAtFolder(path: string, judge: typeof judgeFolder): Promise<Judgement> {
  const folder = await stat(path).catch(() => undefined)
  if (!folder) return {}
  const parent = await stat(dirname(await realpath(path)))
  return judge(folder, parent.dev)
}
