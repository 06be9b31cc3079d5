/** Checks the server's side in the order of a start: the first failure is the likeliest cause of the others. */
import type { Config } from '../../config.ts'
import type { Keyring } from '../../keys/keyring.ts'
import type { RootKey } from '../../keys/root-key.ts'
import type { Database } from '../../store/database.ts'
import type { Head } from '../../store/log.ts'
import { ownRules } from '../../start/own-rules.ts'
import { readOperators } from '../../store/operators.ts'
import { readAttestors, readWorkloads } from '../../store/registrations.ts'
import type { Io } from '../io.ts'
import { checkApprovals } from './approvals.ts'
import { checkAttestors } from './attestors.ts'
import { checkCertificate } from './certificate-files.ts'
import { judgeClock, readDatabaseClock } from './clock.ts'
import { checkConfiguration } from './configuration.ts'
import { checkDataDirectory } from './data-directory.ts'
import { type Finding, note, skipped } from './finding.ts'
import { checkKeyring } from './keyring.ts'
import { checkKeys } from './keys.ts'
import { checkListeners } from './listener.ts'
import { checkLog } from './log.ts'
import { type RunCheck, createRunCheck } from './run-check.ts'
import { openForCheck } from './open-database.ts'
import { checkPostgres } from './postgres.ts'
import { checkPublicUrl } from './public-url.ts'
import { checkRole } from './role.ts'
import { checkRootKey } from './root-key.ts'
import { checkSchema } from './schema.ts'
import { checkEntries } from './workload-entries.ts'

type Parts = { io: Io; now: () => Date }

export async function examineServer({ io, now }: Parts): Promise<Finding[]> {
  const { config, findings } = checkConfiguration(io)
  if (!config) return findings
  const run = createRunCheck(io)
  const results: { rootKey?: RootKey; serving: boolean; db?: Database } = { serving: false }
  findings.push(
    ...(await run('data directory', () => checkDataDirectory(config))),
    ...(await run('root key', () => {
      const result = checkRootKey(config)
      if (result.rootKey) results.rootKey = result.rootKey
      return result.findings
    })),
    ...(await run('certificate', () => checkCertificate(config, now()))),
    ...(await run('listener', async () => {
      const result = await checkListeners(config)
      results.serving = result.serving
      return result.findings
    })),
    ...(await run('public URL', () => checkPublicUrl(config))),
  )
  const opened = await run('database', async () => {
    const result = await openForCheck(config)
    if ('db' in result) results.db = result.db
    return 'findings' in result ? result.findings : []
  })
  const { db } = results
  if (!db) return [...findings, ...opened, ...skippedChecks(opened)]
  try {
    return [...findings, ...(await checkDatabase(db, { ...results, config, now, run }))]
  } finally {
    await db.close()
  }
}

/** The checks that need the database, unless its own finding says so. */
function skippedChecks([why]: readonly Finding[]): Finding[] {
  if (why?.level !== 'fail') return []
  return [
    skipped('other checks', 'schema, keys, attestors, workload entries, approvals, clock and log need the database'),
  ]
}

type DatabaseParts = { config: Config; rootKey?: RootKey; serving: boolean; now: () => Date; run: RunCheck }

async function checkDatabase(db: Database, { config, rootKey, serving, now, run }: DatabaseParts): Promise<Finding[]> {
  const { knex } = db
  const results: { head?: Head; keyring?: Keyring } = {}
  const findings = [
    ...(await run('database', () => (db.kind === 'postgres' ? checkPostgres(knex, config) : [embedded]))),
    ...(await run('schema', async () => {
      const result = await checkSchema(db, config)
      if (result.head) results.head = result.head
      return result.findings
    })),
    ...(db.kind === 'postgres' ? await run('role', () => checkRole(knex)) : []),
  ]
  const { head } = results
  if (!head) {
    const clock = await run('clock', async () => judgeClock([await readDatabaseClock(knex, now)]))
    return [
      ...findings,
      ...clock,
      skipped('other checks', 'keys, attestors, workload entries, approvals and log need the complete schema'),
    ]
  }
  return [
    ...findings,
    ...(await run('root key', async () => {
      if (!rootKey) return []
      const result = await checkKeyring(db, head, rootKey)
      if (result.keyring) results.keyring = result.keyring
      return result.findings
    })),
    ...(await run('keys', () => checkKeys(knex, { config, head, keyring: results.keyring, now: now(), serving }))),
    ...(await run('attestor', async () => {
      const { findings: attestors, readings } = await checkAttestors(await readAttestors(knex), config, now)
      return [...judgeClock([await readDatabaseClock(knex, now), ...readings]), ...attestors]
    })),
    ...(await run('workload entry', async () =>
      checkEntries(await readWorkloads(knex), await readAttestors(knex), ownRules(config)),
    )),
    ...(await run('approvals', async () => checkApprovals(config.approvals, await readOperators(knex)))),
    ...(await run('log', () => checkLog(knex, { config, head }))),
  ]
}

const embedded = note('database', 'the embedded store survives the end of the process, but no power loss', {
  why: 'it is for trials: a power loss can lose entries of credentials that were issued',
  do: 'for production, set DATABASE_URL=postgres://… (PostgreSQL 14 or newer)',
})
