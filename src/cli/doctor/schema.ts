/** The schema, whose database it is, and the triggers that keep the log as it is. */
import type { Config } from '../../config.ts'
import type { Database } from '../../store/database.ts'
import { type Head, readHead } from '../../store/log.ts'
import { type GuardFault, brokenGuards } from '../../store/log-guards.ts'
import { SchemaTooNew, newerMigrations, pendingMigrations } from '../../store/migrate.ts'
import { type Finding, fail, isWorking, note, ok, some } from './finding.ts'

const check = 'schema'

type Looked = {
  /** Absent where nothing that hangs on the schema can be looked at. */
  head?: Head
  findings: Finding[]
}

export async function lookAtSchema(db: Database, config: Config): Promise<Looked> {
  const findings = await aboutMigrations(db, config)
  if (!isWorking(findings)) return { findings }
  const head = await readHead(db.knex)
  if (!head) return { findings: [...findings, note(check, 'there was no first start yet: purser serve makes it')] }
  const guards = await brokenGuards(db.knex)
  const all = [...findings, ...aboutWhose(head, config), ...guards.map(toFinding)]
  return { head, findings: all.length > 0 ? all : [ok(check, 'up to date, and the log refuses changes')] }
}

async function aboutMigrations(db: Database, { database }: Config): Promise<Finding[]> {
  const itself = database.migrate === 'auto'
  try {
    const pending = await pendingMigrations(db)
    if (pending.length > 0) {
      const what = `the schema lacks ${some(pending)}`
      if (itself) return [note(check, `${what}: the next start brings it up to date`)]
      return [fail(check, what, { why: 'the server refuses to start on it', do: 'purser migrate' })]
    }
  } catch (error) {
    if (!(error instanceof SchemaTooNew)) throw error
    const remedy = 'use the newer Purser that migrated it, or put the backup from before the migration back'
    return [fail(check, error.message, { why: 'the server refuses to start on it', do: remedy })]
  }
  const newer = await newerMigrations(db)
  if (newer.length === 0) return []
  return [note(check, `a newer Purser made ${some(newer)}, which this one still runs on`)]
}

/** As the server compares them at its start. */
function aboutWhose(head: Head, { trustDomain, publicUrl }: Config): Finding[] {
  const findings: Finding[] = []
  const why = 'the server refuses to start: it would issue names that are not its own'
  if (head.trustDomain !== trustDomain) {
    const what = `the database belongs to trust domain ${head.trustDomain}, not to ${trustDomain}`
    findings.push(fail(check, what, { why, do: `PURSER_TRUST_DOMAIN=${head.trustDomain}, or another DATABASE_URL` }))
  }
  if (head.issuer !== publicUrl) {
    const what = `the database's issuer is ${head.issuer}, not ${publicUrl}`
    findings.push(fail(check, what, { why, do: `PURSER_PUBLIC_URL=${head.issuer}` }))
  }
  return findings
}

const toFinding = ({ table, trigger, fault }: GuardFault): Finding =>
  fail(check, `the trigger ${trigger} on ${table} is ${fault}`, {
    why: 'the database no longer refuses to change the log; verification would still find a change, afterwards',
    do:
      fault === 'disabled'
        ? `find out who did it, then as the owner: alter table ${table} enable trigger ${trigger}`
        : `find out who did it and verify the log (purser audit export, purser audit verify), then make it again as in migrations/`,
  })
