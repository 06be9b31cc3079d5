/** The data directory: there, writable by this user and nobody else, on a disk with room. */
import { randomUUID } from 'node:crypto'
import { type Stats, existsSync, rmSync, statSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Config } from '../../config.ts'
import { type Finding, codeOf, fail, modeOf, note, ok, warn } from './finding.ts'
import { ownUid } from './root-key.ts'

const check = 'data directory'

export function lookAtDataDirectory({ dataDir }: Pick<Config, 'dataDir'>): Finding[] {
  let stats: Stats
  try {
    stats = statSync(dataDir)
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? notYet(dataDir) : [unusable(`${dataDir} can't be looked at`, error)]
  }
  if (!stats.isDirectory()) return [unusable(`${dataDir} is no directory`)]
  const closed = writeFault(dataDir)
  if (closed) return [closed]
  const { bavail, bsize, blocks } = statfsSync(dataDir)
  const findings = [
    ...aboutOwner(dataDir, stats),
    ...aboutMode(dataDir, stats),
    ...aboutFiles(dataDir),
    ...judgeRoom(bavail * bsize, blocks * bsize),
  ]
  return findings.length > 0 ? findings : [ok(check, `${dataDir}, ${sizeOf(bavail * bsize)} free`)]
}

const why =
  'the newest signed head, the roots for clients and the bootstrap token are kept there; without them it does not start'

function unusable(what: string, error?: unknown): Finding {
  const code = codeOf(error)
  const remedy = "make it for the server's user: mkdir -m 700 and chown, or name another in PURSER_DATA_DIR"
  return fail(check, code === undefined ? what : `${what} (${code})`, { why, do: remedy })
}

/** Whether it could be made: nothing is made here. */
function notYet(dataDir: string): Finding[] {
  let above = dirname(resolve(dataDir))
  while (!existsSync(above) && above !== dirname(above)) above = dirname(above)
  const closed = writeFault(above)
  return [
    closed
      ? unusable(`${dataDir} is missing and can't be made in ${above}`)
      : note(check, `${dataDir} is not there yet: the first start makes it`),
  ]
}

/** Tried rather than asked: a read-only mount or a full disk is in no mode. */
function writeFault(folder: string): Finding | undefined {
  const probe = join(folder, `.doctor-${randomUUID()}`)
  try {
    writeFileSync(probe, 'purser doctor\n', { mode: 0o600, flag: 'wx' })
    return undefined
  } catch (error) {
    return unusable(`${folder} can't be written`, error)
  } finally {
    rmSync(probe, { force: true })
  }
}

function aboutOwner(dataDir: string, { uid }: Stats): Finding[] {
  const own = ownUid()
  if (own === undefined || own === uid) return []
  return [
    note(check, `${dataDir} belongs to user ${uid}, and this is user ${own}`, {
      why: "what this user may read and write says nothing about the server's",
      do: `sudo -u '#${uid}' purser doctor`,
    }),
  ]
}

function aboutMode(dataDir: string, { mode }: Stats): Finding[] {
  const remedy = `chmod 700 ${dataDir}`
  if ((mode & 0o022) !== 0) {
    const danger = 'others may put their own files there: a head that hides a rollback, or the roots that clients trust'
    return [fail(check, `${dataDir} has mode ${modeOf(mode)}: others may write in it`, { why: danger, do: remedy })]
  }
  if ((mode & 0o055) === 0) return []
  return [warn(check, `${dataDir} has mode ${modeOf(mode)}: others may look into it`, { do: remedy })]
}

/** What opens a door or holds a key. `ca.pem` is for everybody. */
const secrets = [
  { name: 'bootstrap-token', why: 'it makes the first admin while it lives' },
  { name: 'db', why: 'it is the database, wrapped keys included' },
  { name: 'log-head', why: 'who changes it stops the server, or hides a rollback' },
]

function aboutFiles(dataDir: string): Finding[] {
  return secrets.flatMap(({ name, why: reason }): Finding[] => {
    const path = join(dataDir, name)
    const found = statSync(path, { throwIfNoEntry: false })
    if (!found || (found.mode & 0o077) === 0) return []
    const remedy = `chmod ${found.isDirectory() ? '700' : '600'} ${path}`
    return [fail(check, `${path} has mode ${modeOf(found.mode)}: others may use it`, { why: reason, do: remedy })]
  })
}

const mib = 2 ** 20

/** Bytes. A head is small; a store that meets a full disk stops everything. */
export function judgeRoom(free: number, total: number): Finding[] {
  const what = `${sizeOf(free)} of ${sizeOf(total)} are free`
  const remedy = 'make room: du -x / 2>/dev/null | sort -n | tail'
  if (free < 64 * mib) return [fail(check, what, { why: 'nothing is issued when the disk is full', do: remedy })]
  return free < 1024 * mib ? [warn(check, what, { do: remedy })] : []
}

const sizeOf = (bytes: number): string =>
  bytes >= 1024 * mib ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / mib)} MiB`
