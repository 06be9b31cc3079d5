/** The server's side, in the order in which a start meets it: what is wrong first is the likeliest cause of the rest. */
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
import { hearDatabase, judgeClock } from './clock.ts'
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
      const looked = lookAtRootKey(config)
      if (looked.rootKey) seen.rootKey = looked.rootKey
      return looked.findings
    })),
    ...(await look('certificate', () => lookAtCertificate(config, now()))),
    ...(await look('listener', async () => {
      const looked = await lookAtListeners(config)
      seen.serving = looked.serving
      return looked.findings
    })),
    ...(await look('public URL', () => lookAtPublicUrl(config))),
  )
  const opened = await look('database', async () => {
    const found = await openForLook(config)
    if ('db' in found) seen.db = found.db
    return 'findings' in found ? found.findings : []
  })
  const { db } = seen
  if (!db) return [...findings, ...opened, ...unseen(opened)]
  try {
    return [...findings, ...(await insideOf(db, { ...seen, config, now, look }))]
  } finally {
    await db.close()
  }
}

/** What hangs on the database, where that has not been said already. */
function unseen([why]: readonly Finding[]): Finding[] {
  if (why?.level !== 'fail') return []
  return [skipped('the rest', 'schema, keys, attestors, workload entries, clock and log: they are in the database')]
}

type Inside = { config: Config; rootKey?: RootKey; serving: boolean; now: () => Date; look: Look }

async function insideOf(db: Database, { config, rootKey, serving, now, look }: Inside): Promise<Finding[]> {
  const { knex } = db
  const seen: { head?: Head; keyring?: Keyring } = {}
  const findings = [
    ...(await look('database', () => (db.kind === 'postgres' ? lookAtPostgres(knex, config) : [embedded]))),
    ...(await look('schema', async () => {
      const looked = await lookAtSchema(db, config)
      if (looked.head) seen.head = looked.head
      return looked.findings
    })),
    ...(db.kind === 'postgres' ? await look('role', () => lookAtRole(knex)) : []),
  ]
  const known = seen.head
  if (!known) {
    const heard = await look('clock', async () => judgeClock([await hearDatabase(knex, now)]))
    return [
      ...findings,
      ...heard,
      skipped('the rest', 'keys, attestors, workload entries and log: the schema does not hold them'),
    ]
  }
  return [
    ...findings,
    ...(await look('root key', async () => {
      if (!rootKey) return []
      const looked = await lookAtKeyring(db, known, rootKey)
      if (looked.keyring) seen.keyring = looked.keyring
      return looked.findings
    })),
    ...(await look('keys', () =>
      lookAtKeys(knex, { config, head: known, keyring: seen.keyring, now: now(), serving }),
    )),
    ...(await look('attestor', async () => {
      const { findings: found, heard } = await lookAtAttestors(await readAttestors(knex), config, now)
      return [...judgeClock([await hearDatabase(knex, now), ...heard]), ...found]
    })),
    ...(await look('workload entry', async () =>
      lookAtEntries(await readWorkloads(knex), await readAttestors(knex), ownRules(config)),
    )),
    ...(await look('log', () => lookAtLog(knex, { config, head: known }))),
  ]
}

const embedded = note('database', 'the embedded store: it survives the end of the process, and no power loss', {
  why: 'it is for trying out; what it acknowledged may be lost with the power, and promise 1 with it',
  do: 'DATABASE_URL=postgres://…, PostgreSQL 14 or newer',
})
