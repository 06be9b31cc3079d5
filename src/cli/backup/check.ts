/** Checks a restored database: whether its values decrypt, and what may have changed after the backup. */
import { readConfig } from '../../config.ts'
import { type Offline, openOffline } from '../../start/open-offline.ts'
import { databaseNames, lastEntries, countOpen } from '../../store/backup.ts'
import { type Finding, collect, fail, note, ok, skipped, some, warn } from '../doctor/finding.ts'
import type { Io } from '../io.ts'
import { type Works, checkValues } from './values.ts'
import { type Admins, withWorks } from './works.ts'

type Parts = { now: Date; since?: Date; works?: Works }

export async function checkBackup(io: Pick<Io, 'env' | 'readFile'>, parts: Parts): Promise<Finding[]> {
  const offline = await openOffline(readConfig({ env: io.env, readFile: io.readFile }))
  try {
    const { findings, backupTime } = await checkEpoch(offline, parts)
    const since = parts.since ?? backupTime
    const tried = await withWorks(offline, async (works, admins) => [
      ...(await checkValues(offline, { since, works: parts.works ?? works })),
      ...checkAdmins(await admins()),
    ])
    return [...findings, ...tried, ...(await checkDatabases(offline, parts.now))]
  } finally {
    await offline.db.close()
  }
}

/** Checks that a new epoch has begun, and finds out when the backup was taken. */
async function checkEpoch({ db, head }: Offline, { now }: Parts): Promise<{ findings: Finding[]; backupTime: Date }> {
  const check = 'epoch'
  const epochs = await lastEntries(db.knex)
  const before = epochs.findLast(({ epoch }) => epoch < head.epoch)
  const backupTime = before?.at ?? epochs.at(-1)?.at ?? now
  const { sessions } = await countOpen(db.knex, now)
  const inReview = head.epoch > 1 && !head.issuing
  const findings = collect(
    head.epoch === 1
      ? fail(check, 'no new epoch has begun', {
          why: 'credentials issued after the backup stay valid, and this database does not know them',
          do: 'stop every replica, then: purser log new-epoch --reason "restored"',
        })
      : ok(check, `epoch ${head.epoch} began after the backup of ${backupTime.toISOString()}`),
    inReview && sessions === 0 && ok(check, 'no earlier session is live'),
    inReview &&
      note(check, 'issuing is closed until the review is done', {
        do: 'repeat the revocations made after the backup, then: purser log open --reason "…"',
      }),
  )
  return { findings, backupTime }
}

/** An administrator's password that was rotated after the backup is lost. */
function checkAdmins(admins: Awaited<ReturnType<Admins>>): Finding[] {
  const namesWhere = (matches: (fault: string | undefined) => boolean): string[] =>
    admins.filter(({ fault }) => matches(fault)).map(({ name }) => name)
  const works = namesWhere((fault) => fault === undefined)
  const refused = namesWhere((fault) => fault === 'wrong_credential')
  const untried = namesWhere((fault) => fault !== undefined && fault !== 'wrong_credential')
  return collect(
    refused.length > 0 &&
      fail('databases', `${refused.length} refuse the stored administrator's password: ${some(refused)}`, {
        why: 'it was rotated after the backup, and the new one is lost: no role can be created or dropped there',
        do: 'set a new password at the database server, then: purser database replace NAME --file … --password-file …',
      }),
    works.length > 0 && ok('databases', `${works.length} accept the stored administrator's password`),
    untried.length > 0 &&
      skipped(
        'databases',
        `${untried.length} could not be tried with the stored administrator's password: ${some(untried)}`,
        {
          why: 'the database server cannot be reached from here, or is not trusted',
          do: 'when a server runs: purser database check NAME',
        },
      ),
  )
}

async function checkDatabases({ db }: Offline, now: Date): Promise<Finding[]> {
  const names = await databaseNames(db.knex)
  const { leases, rotations } = await countOpen(db.knex, now)
  return collect(
    rotations > 0 &&
      warn('rotations', `${rotations} were in progress at the time of the backup`, {
        why: 'they resume from that point, but their target may be further along',
        do: 'purser secret status',
      }),
    names.length > 0 &&
      warn('leases', `roles created after the backup may exist in ${some(names)}`, {
        why: `their passwords work until the roles are dropped; ${leases} leases from before the backup are open and end by themselves`,
        do: 'the orphan scan of each database drops them: check its log lines, and pg_roles',
      }),
  )
}
