/** Decides whether a folder is safe for secrets, by who else can write to it (inode(7)). */
import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { folderFault } from '@purser/sdk/checks'

type Folder = { uid: number; mode: number; dev: number }
type Judgement = { fault?: string; warning?: string }

const groupWrite = 0o020
const anyWrite = 0o022
const sticky = 0o1000

/**
 * A group that can write causes a warning only: Kubernetes sets it on volumes (fsGroup), and umask 002 on home folders.
 * The same holds for all users at the root of a volume that root owns: an emptyDir has mode 0777 and belongs to one pod.
 * A sticky folder is shared between users.
 * @param parentDevice differs from the device of the folder if a volume is mounted there
 */
export function judgeFolder(folder: Folder, parentDevice: number): Judgement {
  const fault = folderFault(folder)
  if (fault === undefined) return {}
  const { uid, mode, dev } = folder
  const isVolume = uid === 0 && dev !== parentDevice && (mode & sticky) === 0
  const tolerated = isVolume ? anyWrite : groupWrite
  return folderFault({ uid, mode: mode & ~tolerated }) === undefined ? { warning: fault } : { fault }
}

/** For a folder in which others must not create files at all: the sticky bit does not keep out their links. */
export function judgePrivateFolder(folder: Folder, parentDevice: number): Judgement {
  const isShared = (folder.mode & sticky) !== 0
  if (!isShared) return judgeFolder(folder, parentDevice)
  const fault = folderFault({ uid: folder.uid, mode: folder.mode & ~sticky })
  return fault === undefined ? {} : { fault }
}

/** A missing folder has no fault: it is created with mode 0700. */
export async function examineFolder(path: string, judge: typeof judgeFolder): Promise<Judgement> {
  const folder = await stat(path).catch(() => undefined)
  if (!folder) return {}
  const parent = await stat(dirname(await realpath(path)))
  return judge(folder, parent.dev)
}
