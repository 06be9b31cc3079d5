/** Checks the server's side in the order of a start: the first failure is the likeliest cause of the others. */
import type { Config } from '../../config.ts'
import type { Keyring } from '../../keys/keyring.ts'
import type { RootKey } from '../../keys/root-key.ts'
import type { Database } from '../../store/database.ts'
import type { Head } from '../../store/log.ts'
import { ownRules } from '../../start/own-rules.ts'
import { readAttestors, readWorkloads } from '../../store/registrations.ts'
import type { Io } from '../io.ts'
import { lookAtAttestors } from './attestors.ts'
import { lookAtCertificate } from './certificate-files.ts'
import { judgeClock, readDatabaseClock } from './clock.ts'
import { lookAtConfiguration } from './configuration.ts'
import { lookAtDataDirectory } from './data-directory.ts'
import { type Finding, note, skipped } from './finding.ts'
import { lookAtKeyring } from './keyring.ts'
import { lookAtKeys } from './keys.ts'
import { lookAtListeners } from './listener.ts'
import { lookAtLog } from './log.ts'
import { type Look, createLook } from './look.ts'
import { openForLook } from './open-database.ts'
import { lookAtPostgres } from './postgres.ts'
import { lookAtPublicUrl } from './public-url.ts'
import { lookAtRole } from './role.ts'
import { lookAtRootKey } from './root-key.ts'
import { lookAtSchema } from './schema.ts'
import { lookAtEntries } from './workload-entries.ts'

type Parts = { io: Io; now: () => Date }

export async function examineServer({ io, now }: Parts): Promise<Finding[]> {
  const { config, findings } = lookAtConfiguration(io)
  if (!config) return findings
  const look = createLook(io)
  const seen: { rootKey?: RootKey; serving: boolean; db?: Database } = { serving: false }
  findings.push(
    ...(await look('data directory', () => lookAtDataDirectory(config))),
    ...(await look('root key', () => {
      const result = lookAtRootKey(config)
      if (result.rootKey) seen.rootKey = result.rootKey
      return result.findings
    })),
    ...(await look('certificate', () => lookAtCertificate(config, now()))),
    ...(await look('listener', async () => {
      const result = await lookAtListeners(config)
      seen.serving = result.serving
      return result.findings
    })),
    ...(await look('public URL', () => lookAtPublicUrl(config))),
  )
  const opened = await look('database', async () => {
    const result = await openForLook(config)
    if ('db' in result) seen.db = result.db
    return 'findings' in result ? result.findings : []
  })
  const { db } = seen
  if (!db) return [...findings, ...opened, ...unseen(opened)]
  try {
    return [...findings, ...(await insideOf(db, { ...seen, config, now, look }))]
  } finally {
    await db.close()
  }
}

/** The checks that need the database, unless its own finding says so. */
function unseen([why]: readonly Finding[]): Finding[] {
  if (why?.level !== 'fail') return []
  return [skipped('other checks', 'schema, keys, attestors, workload entries, clock and log need the database')]
}

type Inside = { config: Config; rootKey?: RootKey; serving: boolean; now: () => Date; look: Look }

async function insideOf(db: Database, { config, rootKey, serving, now, look }: Inside): Promise<Finding[]> {
  const { knex } = db
  const seen: { head?: Head; keyring?: Keyring } = {}
  const findings = [
    ...(await look('database', () => (db.kind === 'postgres' ? lookAtPostgres(knex, config) : [embedded]))),
    ...(await look('schema', async () => {
      const result = await lookAtSchema(db, config)
      if (result.head) seen.head = result.head
      return result.findings
    })),
    ...(db.kind === 'postgres' ? await look('role', () => lookAtRole(knex)) : []),
  ]
  const { head } = seen
  if (!head) {
    const clock = await look('clock', async () => judgeClock([await readDatabaseClock(knex, now)]))
    return [
      ...findings,
      ...clock,
      skipped('other checks', 'keys, attestors, workload entries and log need the complete schema'),
    ]
  }
  return [
    ...findings,
    ...(await look('root key', async () => {
      if (!rootKey) return []
      const result = await lookAtKeyring(db, head, rootKey)
      if (result.keyring) seen.keyring = result.keyring
      return result.findings
    })),
    ...(await look('keys', () => lookAtKeys(knex, { config, head, keyring: seen.keyring, now: now(), serving }))),
    ...(await look('attestor', async () => {
      const { findings: attestors, readings } = await lookAtAttestors(await readAttestors(knex), config, now)
      return [...judgeClock([await readDatabaseClock(knex, now), ...readings]), ...attestors]
    })),
    ...(await look('workload entry', async () =>
      lookAtEntries(await readWorkloads(knex), await readAttestors(knex), ownRules(config)),
    )),
    ...(await look('log', () => lookAtLog(knex, { config, head }))),
  ]
}

const embedded = note('database', 'the embedded store survives the end of the process, but no power loss', {
  why: 'it is for trials: a power loss can lose entries of credentials that were issued',
  do: 'for production, set DATABASE_URL=postgres://… (PostgreSQL 14 or newer)',
})
