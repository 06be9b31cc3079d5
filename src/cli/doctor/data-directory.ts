/** Checks the data directory: it exists, only this user can write to it, and its disk has space. */
import { randomUUID } from 'node:crypto'
import { type Stats, existsSync, rmSync, statSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Config } from '../../config.ts'
import { codeOf } from '../io.ts'
import { type Finding, collectOr, fail, modeOf, note, ok, warn } from './finding.ts'
import { ownUid } from './root-key.ts'

const check = 'data directory'

export function checkDataDirectory({ dataDir }: Pick<Config, 'dataDir'>): Finding[] {
  let stats: Stats
  try {
    stats = statSync(dataDir)
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? [missingFinding(dataDir)] : [unusable(`cannot read ${dataDir}`, error)]
  }
  if (!stats.isDirectory()) return [unusable(`${dataDir} is not a directory`)]
  const fault = writeFault(dataDir)
  if (fault) return [fault]
  const { bavail, bsize, blocks } = statfsSync(dataDir)
  return collectOr(
    ok(check, `${dataDir}, ${sizeOf(bavail * bsize)} free`),
    judgeOwner(dataDir, stats),
    judgeMode(dataDir, stats),
    judgeFiles(dataDir),
    judgeFreeSpace(bavail * bsize, blocks * bsize),
  )
}

const why =
  'the server keeps the newest signed head, the roots for clients and the bootstrap token there; it does not start without it'

function unusable(what: string, error?: unknown): Finding {
  const code = codeOf(error)
  const remedy = "create it for the server's user (mkdir -m 700, chown), or set PURSER_DATA_DIR to another"
  return fail(check, code === undefined ? what : `${what} (${code})`, { why, do: remedy })
}

/** A missing directory is fine if the server can create it. */
function missingFinding(dataDir: string): Finding {
  let above = dirname(resolve(dataDir))
  while (!existsSync(above) && above !== dirname(above)) above = dirname(above)
  return writeFault(above)
    ? unusable(`${dataDir} is missing and cannot be created in ${above}`)
    : note(check, `${dataDir} does not exist yet: the first start creates it`)
}

/** Writes a probe file: the mode does not show a read-only mount or a full disk. */
function writeFault(folder: string): Finding | undefined {
  const probe = join(folder, `.doctor-${randomUUID()}`)
  try {
    writeFileSync(probe, 'purser doctor\n', { mode: 0o600, flag: 'wx' })
    return undefined
  } catch (error) {
    return unusable(`cannot write to ${folder}`, error)
  } finally {
    rmSync(probe, { force: true })
  }
}

function judgeOwner(dataDir: string, { uid }: Stats): Finding | undefined {
  const own = ownUid()
  if (own === undefined || own === uid) return undefined
  return note(check, `${dataDir} belongs to user ${uid}, and this is user ${own}`, {
    why: "the permissions of this user say nothing about the server's",
    do: `sudo -u '#${uid}' purser doctor`,
  })
}

function judgeMode(dataDir: string, { mode }: Stats): Finding | undefined {
  const remedy = `chmod 700 ${dataDir}`
  if ((mode & 0o022) !== 0) {
    const danger = 'others can replace files: the head that shows a rollback, or the roots that clients trust'
    return fail(check, `${dataDir} has mode ${modeOf(mode)}: others can write to it`, { why: danger, do: remedy })
  }
  if ((mode & 0o055) === 0) return undefined
  return warn(check, `${dataDir} has mode ${modeOf(mode)}: others can read it`, { do: remedy })
}

/** Files that must stay private. `ca.pem` is public. */
const privateFiles = [
  { name: 'bootstrap-token', why: 'a reader can become the first admin while it is valid' },
  { name: 'db', why: 'it is the database, with all wrapped keys' },
  { name: 'log-head', why: 'a changed head stops the server, or hides a rollback' },
]

function judgeFiles(dataDir: string): Finding[] {
  return privateFiles.flatMap(({ name, why: reason }): Finding[] => {
    const path = join(dataDir, name)
    const stats = statSync(path, { throwIfNoEntry: false })
    if (!stats || (stats.mode & 0o077) === 0) return []
    const remedy = `chmod ${stats.isDirectory() ? '700' : '600'} ${path}`
    return [fail(check, `${path} has mode ${modeOf(stats.mode)}: others can access it`, { why: reason, do: remedy })]
  })
}

const mib = 2 ** 20

/** Bytes. On a full disk the embedded store stops. */
export function judgeFreeSpace(free: number, total: number): Finding[] {
  const what = `${sizeOf(free)} of ${sizeOf(total)} are free`
  const remedy = 'free disk space: du -x / 2>/dev/null | sort -n | tail'
  if (free < 64 * mib) return [fail(check, what, { why: 'nothing is issued when the disk is full', do: remedy })]
  return free < 1024 * mib ? [warn(check, what, { do: remedy })] : []
}

const sizeOf = (bytes: number): string =>
  bytes >= 1024 * mib ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / mib)} MiB`
