/** The one key that is not in the database: there, readable by its owner alone, and not lying beside backups. */
import { type Stats, readdirSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Config } from '../../config.ts'
import { type RootKey, openRootKey } from '../../keys/root-key.ts'
import { hasDatabase } from '../../store/embedded.ts'
import { type Finding, codeOf, fail, isWorking, modeOf, note, ok, some, warn } from './finding.ts'

const check = 'root key'

type Looked = { rootKey?: RootKey; findings: Finding[] }

export function lookAtRootKey({ rootKey: source, dataDir, database }: Config): Looked {
  if (source.kind === 'value') {
    const rootKey = openRootKey({ kind: 'value', value: source.value.reveal() })
    return {
      rootKey,
      findings: [
        note(check, 'it is in the environment', {
          why: 'whoever may look at the process, and what dumps or prints environments, has it as well',
          do: 'keep it in a file of mode 0600 and name it in PURSER_ROOT_KEY_FILE',
        }),
      ],
    }
  }
  const { path } = source
  const stored = database.kind === 'postgres' || hasDatabase(join(dataDir, 'db'))
  const stats = statOf(path)
  if (stats instanceof Error) return { findings: [missing(path, stats, stored)] }
  const findings = [...aboutFile(path, stats), ...aboutPlace(path)]
  if (!isWorking(findings)) return { findings }
  try {
    const rootKey = openRootKey({ kind: 'file', path, create: false })
    return { rootKey, findings: findings.length > 0 ? findings : [ok(check, `${path}, mode ${modeOf(stats.mode)}`)] }
  } catch (error) {
    const unreadable = codeOf(error)
    const what = unreadable === undefined ? 'does not hold 32 bytes in base64' : `can't be read (${unreadable})`
    return { findings: [...findings, fail(check, `${path} ${what}`, { why: lost, do: restore(path) })] }
  }
}

const lost = 'without it nothing in the database that matters can be opened: no key signs, nothing is issued'
const restore = (path: string): string => `put your copy of the root key back at ${path}, then: chmod 600 ${path}`

function statOf(path: string): Stats | Error {
  try {
    return statSync(path)
  } catch (error) {
    return error instanceof Error ? error : new Error('unreadable')
  }
}

function missing(path: string, error: Error, stored: boolean): Finding {
  const code = codeOf(error) ?? 'unreadable'
  if (code !== 'ENOENT') return fail(check, `${path} can't be looked at (${code})`, { why: lost })
  if (!stored) return note(check, `${path} is not there yet: the first start makes it`)
  return fail(check, `${path} is missing`, {
    why: lost,
    do: `${restore(path)} (a new database takes a new one: purser root-key generate --out ${path})`,
  })
}

function aboutFile(path: string, stats: Stats): Finding[] {
  if (!stats.isFile()) return [fail(check, `${path} is no file`, { why: lost, do: restore(path) })]
  if ((stats.mode & 0o077) !== 0) {
    return [
      fail(check, `${path} has mode ${modeOf(stats.mode)}: others can read or change it`, {
        why: 'with it and a copy of the database somebody has every private key; the server refuses to start',
        do: `chmod 600 ${path}`,
      }),
    ]
  }
  const uid = ownUid()
  if (uid === undefined || stats.uid === uid) return []
  return [
    warn(check, `${path} belongs to user ${stats.uid}, and this is user ${uid}`, {
      why: 'the server reads a root key of its own user or of root alone',
      do: `run doctor as the server's user; if that is this one: chown ${uid} ${path}`,
    }),
  ]
}

const isBackup = (name: string): boolean =>
  /\.(?:sql|dump|pgdump|backup|bak|basebackup)(?:\.(?:gz|zst|xz|bz2|lz4|age|gpg))?$|^base\.tar/i.test(name)

/** Who may write in the folder may put another file in its place; who finds both there needs nothing else. */
function aboutPlace(path: string): Finding[] {
  const folder = dirname(path)
  const findings: Finding[] = []
  const { mode } = statSync(folder)
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) {
    const why = `others may put another file in its place${(mode & 0o002) === 0 ? '' : '; the server refuses to start'}`
    findings.push(
      fail(check, `others may write in ${folder} (mode ${modeOf(mode)})`, { why, do: `chmod go-w ${folder}` }),
    )
  }
  const backups = namesIn(folder).filter((name) => name !== basename(path) && isBackup(name))
  if (backups.length > 0) {
    findings.push(
      warn(check, `it lies beside what looks like database backups: ${some(backups)}`, {
        why: 'a stolen backup tells nothing without the root key, and everything with it',
        do: `move the backups, and keep a copy of ${path} where no backup is`,
      }),
    )
  }
  return findings
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Undefined where the system has no such thing, or no name for it. */
export function ownUid(): number | undefined {
  try {
    const { uid } = userInfo()
    return uid >= 0 ? uid : undefined
  } catch {
    return undefined
  }
}
