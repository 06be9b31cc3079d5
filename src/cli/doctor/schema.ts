/** Checks the schema, the owner of the database, and the triggers that protect the log. */
import type { Config } from '../../config.ts'
import type { Database } from '../../store/database.ts'
import { type Head, readHead } from '../../store/log.ts'
import { type GuardFault, brokenGuards } from '../../store/log-guards.ts'
import { SchemaTooNew, newerMigrations, pendingMigrations } from '../../store/migrate.ts'
import { type Finding, collect, collectOr, fail, isWorking, note, ok, some } from './finding.ts'

const check = 'schema'

type Result = {
  /** Absent when the checks that need the schema cannot run. */
  head?: Head
  findings: Finding[]
}

export async function checkSchema(db: Database, config: Config): Promise<Result> {
  const findings = await judgeMigrations(db, config)
  if (!isWorking(findings)) return { findings }
  const head = await readHead(db.knex)
  if (!head)
    return { findings: collect(findings, note(check, 'the database is empty: the first purser serve initializes it')) }
  const guards = await brokenGuards(db.knex)
  const sound = ok(check, 'up to date, and its triggers protect the log')
  return { head, findings: collectOr(sound, findings, judgeIdentity(head, config), guards.map(toFinding)) }
}

async function judgeMigrations(db: Database, { database }: Config): Promise<Finding[]> {
  const isAutomatic = database.migrate === 'auto'
  try {
    const pending = await pendingMigrations(db)
    if (pending.length > 0) {
      const what = `the schema lacks ${some(pending)}`
      if (isAutomatic) return [note(check, `${what}: the next start adds it`)]
      return [fail(check, what, { why: 'the server refuses to start with it', do: 'purser migrate' })]
    }
  } catch (error) {
    if (!(error instanceof SchemaTooNew)) throw error
    const remedy = 'use the newer Purser that migrated it, or restore the backup from before the migration'
    return [fail(check, error.message, { why: 'the server refuses to start with it', do: remedy })]
  }
  const newer = await newerMigrations(db)
  if (newer.length === 0) return []
  return [note(check, `a newer Purser applied ${some(newer)}, which this version can use`)]
}

/** The server compares these at its start. */
function judgeIdentity(head: Head, { trustDomain, publicUrl }: Config): Finding[] {
  const why = 'the server refuses to start: it would issue names of another deployment'
  const foreign = `the database belongs to trust domain ${head.trustDomain}, not to ${trustDomain}`
  const mismatch = `the database's issuer is ${head.issuer}, not ${publicUrl}`
  return collect(
    head.trustDomain !== trustDomain &&
      fail(check, foreign, { why, do: `set PURSER_TRUST_DOMAIN=${head.trustDomain}, or another DATABASE_URL` }),
    head.issuer !== publicUrl && fail(check, mismatch, { why, do: `set PURSER_PUBLIC_URL=${head.issuer}` }),
  )
}

const toFinding = ({ table, trigger, fault }: GuardFault): Finding =>
  fail(check, `the trigger ${trigger} on ${table} is ${fault}`, {
    why: 'the database no longer refuses changes to the log; verification still detects them',
    do:
      fault === 'disabled'
        ? `find out who disabled it, then as the owner: alter table ${table} enable trigger ${trigger}`
        : `find out who removed it, verify the log (purser audit export, purser audit verify), then create it again as in migrations/`,
  })
