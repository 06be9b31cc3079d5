/** Checks the root key: it exists, only its owner can read it, and no backups are beside it. */
import { type Stats, readdirSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Config } from '../../config.ts'
import { type RootKey, openRootKey } from '../../keys/root-key.ts'
import { hasDatabase } from '../../store/embedded.ts'
import { codeOf } from '../io.ts'
import { type Finding, collect, collectOr, fail, isWorking, modeOf, note, ok, some, warn } from './finding.ts'

const check = 'root key'

type Result = { rootKey?: RootKey; findings: Finding[] }

export function checkRootKey({ rootKey: source, dataDir, database }: Config): Result {
  if (source.kind === 'value') {
    const exposed = note(check, 'it is in the environment', {
      why: 'others can read it from the process, and tools that print environments leak it',
      do: 'store it in a file with mode 0600, and set PURSER_ROOT_KEY_FILE',
    })
    return { rootKey: openRootKey({ kind: 'value', value: source.value.reveal() }), findings: [exposed] }
  }
  const { path } = source
  const stored = database.kind === 'postgres' || hasDatabase(join(dataDir, 'db'))
  const stats = statOf(path)
  if (stats instanceof Error) return { findings: [missingFinding(path, stats, stored)] }
  const findings = collectOr(ok(check, `${path}, mode ${modeOf(stats.mode)}`), judgeFile(path, stats), judgePlace(path))
  if (!isWorking(findings)) return { findings }
  try {
    return { rootKey: openRootKey({ kind: 'file', path, create: false }), findings }
  } catch (error) {
    const code = codeOf(error)
    const what = code === undefined ? `${path} does not hold 32 bytes in base64` : `cannot read ${path} (${code})`
    const faults = findings.filter(({ level }) => level !== 'ok')
    return { findings: [...faults, fail(check, what, { why: consequence, do: restore(path) })] }
  }
}

const consequence = 'without it the keys and values in the database cannot be decrypted, so nothing is issued'
const restore = (path: string): string => `restore your copy of the root key to ${path}, then: chmod 600 ${path}`

function statOf(path: string): Stats | Error {
  try {
    return statSync(path)
  } catch (error) {
    return error instanceof Error ? error : new Error('unreadable')
  }
}

function missingFinding(path: string, error: Error, stored: boolean): Finding {
  const code = codeOf(error) ?? 'unreadable'
  if (code !== 'ENOENT') return fail(check, `cannot read ${path} (${code})`, { why: consequence })
  if (!stored) return note(check, `${path} does not exist yet: the first start creates it`)
  return fail(check, `${path} is missing`, {
    why: consequence,
    do: `${restore(path)} (for a new database: purser root-key generate --out ${path})`,
  })
}

function judgeFile(path: string, stats: Stats): Finding | undefined {
  if (!stats.isFile()) return fail(check, `${path} is not a file`, { why: consequence, do: restore(path) })
  if ((stats.mode & 0o077) !== 0) {
    return fail(check, `${path} has mode ${modeOf(stats.mode)}: others can read or change it`, {
      why: 'with it and a copy of the database, others have every private key; the server refuses to start',
      do: `chmod 600 ${path}`,
    })
  }
  const uid = ownUid()
  if (uid === undefined || stats.uid === uid) return undefined
  return warn(check, `${path} belongs to user ${stats.uid}, and this is user ${uid}`, {
    why: 'the server only reads a root key that its own user or root owns',
    do: `run doctor as the server's user; if that is this user: chown ${uid} ${path}`,
  })
}

const isBackup = (name: string): boolean =>
  /\.(?:sql|dump|pgdump|backup|bak|basebackup)(?:\.(?:gz|zst|xz|bz2|lz4|age|gpg))?$|^base\.tar/i.test(name)

/** A user who can write to the folder can replace the key. A thief of a backup beside the key can decrypt it. */
function judgePlace(path: string): Finding[] {
  const folder = dirname(path)
  const { mode } = statSync(folder)
  const backups = namesIn(folder).filter((name) => name !== basename(path) && isBackup(name))
  return collect(
    (mode & 0o022) !== 0 &&
      (mode & 0o1000) === 0 &&
      fail(check, `others can write to ${folder} (mode ${modeOf(mode)})`, {
        why: `others can replace the file${(mode & 0o002) === 0 ? '' : '; the server refuses to start'}`,
        do: `chmod go-w ${folder}`,
      }),
    backups.length > 0 &&
      warn(check, `it is stored beside what look like database backups: ${some(backups)}`, {
        why: 'a stolen backup is useless without the root key, and complete with it',
        do: `move the backups, and keep a copy of ${path} apart from them`,
      }),
  )
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Undefined when the system has no user ids, or no entry for this user. */
export function ownUid(): number | undefined {
  try {
    const { uid } = userInfo()
    return uid >= 0 ? uid : undefined
  } catch {
    return undefined
  }
}
