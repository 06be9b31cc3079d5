/** Opens the database for the checks, or reports why it cannot be opened. Creates and migrates nothing. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../config.ts'
import { databaseHosts } from '../../names/database-url.ts'
import { NoHost } from '../../store/connect.ts'
import { type Database, isConnectionError } from '../../store/database.ts'
import { hasDatabase, openEmbedded } from '../../store/embedded.ts'
import { StoreLocked } from '../../store/lock.ts'
import { openPostgres } from '../../store/postgres.ts'
import { readClock } from '../../store/postgres-facts.ts'
import { codeOf } from '../io.ts'
import { type Finding, fail, note, skipped } from './finding.ts'
import { ownUid } from './root-key.ts'

const check = 'database'

type Opened = { db: Database } | { findings: Finding[] }

/** @param uid the current user; the store of another user is not opened */
export const openForCheck = (
  { database, dataDir }: Pick<Config, 'database' | 'dataDir'>,
  uid: number | undefined = ownUid(),
): Promise<Opened> => (database.kind === 'embedded' ? openStore(dataDir, uid) : openServer(database.url.reveal()))

async function openStore(dataDir: string, own: number | undefined): Promise<Opened> {
  const folder = join(dataDir, 'db')
  if (!hasDatabase(folder)) {
    return { findings: [note(check, 'the embedded store does not exist yet: the first start creates it')] }
  }
  const { uid } = statSync(folder)
  if (own !== undefined && own !== uid) {
    const why = `it belongs to user ${uid}; user ${own} would leave files that the owner cannot write`
    return { findings: [skipped(check, `${folder} was not opened`, { why, do: `sudo -u '#${uid}' purser doctor` })] }
  }
  try {
    return { db: await openEmbedded({ dataDir: folder }) }
  } catch (error) {
    if (error instanceof StoreLocked) return { findings: [lockedFinding(error)] }
    const reason = codeOf(error) ?? (error instanceof Error ? error.name : 'unknown')
    const why = 'nothing is issued without it'
    const remedy = `restore a copy of the whole data directory that was made while no server ran`
    return {
      findings: [fail(check, `cannot open the embedded store in ${folder} (${reason})`, { why, do: remedy })],
    }
  }
}

const lockedFinding = ({ pid }: StoreLocked): Finding =>
  skipped(check, `process ${pid} has the embedded store open, so its content was not checked`, {
    why: 'schema, keys, attestors and the log are in it, and only one process may open it',
    do: `stop process ${pid} and run this again, or use: purser keys list, purser attestor check NAME`,
  })

async function openServer(url: string): Promise<Opened> {
  const db = openPostgres({ url, applicationName: 'purser doctor', poolMax: 2 })
  try {
    await readClock(db.knex)
    return { db }
  } catch (error) {
    await db.close().catch(() => undefined)
    return { findings: [connectionFault(url, error)] }
  }
}

/** The parts of a database URL without its password. */
type Place = { where: string; role: string; name: string }

function placeOf(text: string): Place {
  const { urls } = databaseHosts(text)
  const url = new URL(urls[0] ?? '')
  const name = decodeURIComponent(url.pathname.slice(1))
  return {
    where: urls.map((host) => new URL(host).host || 'the local socket').join(','),
    role: decodeURIComponent(url.username) || 'named like this user',
    name: name === '' ? 'named like the role' : name,
  }
}

const why = 'nothing is issued while it does not answer'

/** Errors by SQLSTATE (classes 28 and 3D), and by the codes of Node's sockets and TLS. */
function connectionFault(url: string, error: unknown): Finding {
  const { where, role, name } = placeOf(url)
  const code = codeOf(error) ?? ''
  const message = error instanceof Error ? error.message : ''
  if (code === '28P01' || /password must be a string/.test(message)) {
    const remedy = 'set the right password in DATABASE_URL (or the file of DATABASE_URL_FILE)'
    return fail(check, `${where} refuses the password of role ${role}`, { why, do: remedy })
  }
  if (code === '28000') {
    const remedy = `on its host, allow the role (pg_hba.conf, create role), or use another role in DATABASE_URL`
    return fail(check, `${where} does not let role ${role} in`, { why, do: remedy })
  }
  if (code === '3D000') {
    return fail(check, `${where} has no database ${name}`, { why, do: `createdb ${name}, then: purser migrate` })
  }
  if (code === '42501') {
    const remedy = `as its owner: grant connect on database ${name} to ${role}`
    return fail(check, `role ${role} may not connect to database ${name}`, { why, do: remedy })
  }
  if (code === '53300') {
    const remedy = 'raise max_connections there, or run fewer replicas and workers: each needs up to 11'
    return fail(check, `${where} has no connection left`, { why, do: remedy })
  }
  if (/does not support SSL/.test(message)) {
    const remedy = 'turn ssl on there, or, on a network of your own, set sslmode=disable in DATABASE_URL'
    return fail(check, `${where} does not support TLS, but DATABASE_URL requires it`, { why, do: remedy })
  }
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|EPROTO)/.test(code)) {
    const remedy = 'name its root in DATABASE_URL: ?sslmode=verify-full&sslrootcert=/path/to/root.pem'
    return fail(check, `the TLS certificate of ${where} does not verify (${code})`, { why, do: remedy })
  }
  const reason = code === '' ? 'no answer in time' : code
  const { urls } = databaseHosts(url)
  const probes = urls
    .map((host) => new URL(host))
    .map(({ hostname, port }) => `pg_isready -h ${hostname} -p ${port || '5432'}`)
  const remedy = `check DATABASE_URL and firewalls: ${probes.join('; ')}`
  if (error instanceof NoHost) return fail(check, error.message, { why, do: remedy })
  if (isConnectionError(error)) return fail(check, `${where} cannot be reached (${reason})`, { why, do: remedy })
  return fail(check, `${where} refuses the connection (${reason})`, { why, do: remedy })
}
