/** Checks a restored database: whether its values decrypt, and what may have changed after the backup. */
import { readConfig } from '../../config.ts'
import { type Offline, openOffline } from '../../start/open-offline.ts'
import { databaseNames, lastEntries, countOpen } from '../../store/backup.ts'
import { type Finding, fail, note, ok, skipped, some, warn } from '../doctor/finding.ts'
import type { Io } from '../io.ts'
import { type Works, lookAtValues } from './values.ts'
import { type Admins, withWorks } from './works.ts'

type Parts = { now: Date; since?: Date; works?: Works }

export async function checkBackup(io: Pick<Io, 'env' | 'readFile'>, parts: Parts): Promise<Finding[]> {
  const offline = await openOffline(readConfig({ env: io.env, readFile: io.readFile }))
  try {
    const { findings, backupTime } = await lookAtEpoch(offline, parts)
    const since = parts.since ?? backupTime
    const tried = await withWorks(offline, async (works, admins) => [
      ...(await lookAtValues(offline, { since, works: parts.works ?? works })),
      ...lookAtAdmins(await admins()),
    ])
    return [...findings, ...tried, ...(await lookAtDatabases(offline, parts.now))]
  } finally {
    await offline.db.close()
  }
}

/** Checks that a new epoch has begun, and finds out when the backup was taken. */
async function lookAtEpoch({ db, head }: Offline, { now }: Parts): Promise<{ findings: Finding[]; backupTime: Date }> {
  const check = 'epoch'
  const epochs = await lastEntries(db.knex)
  const before = epochs.findLast(({ epoch }) => epoch < head.epoch)
  const backupTime = before?.at ?? epochs.at(-1)?.at ?? now
  const { sessions } = await countOpen(db.knex, now)
  const findings: Finding[] = []
  if (head.epoch === 1) {
    findings.push(
      fail(check, 'no new epoch has begun', {
        why: 'credentials issued after the backup stay valid, and this database does not know them',
        do: 'stop every replica, then: purser log new-epoch --reason "restored"',
      }),
    )
  } else {
    findings.push(ok(check, `epoch ${head.epoch} began after the backup of ${backupTime.toISOString()}`))
  }
  if (head.epoch > 1 && !head.issuing && sessions === 0) findings.push(ok(check, 'no earlier session is live'))
  if (head.epoch > 1 && !head.issuing) {
    findings.push(
      note(check, 'issuing is closed until the review is done', {
        do: 'repeat the revocations made after the backup, then: purser log open --reason "…"',
      }),
    )
  }
  return { findings, backupTime }
}

/** An administrator's password that was rotated after the backup is lost. */
function lookAtAdmins(admins: Awaited<ReturnType<Admins>>): Finding[] {
  const namesWhere = (matches: (fault: string | undefined) => boolean): string[] =>
    admins.filter(({ fault }) => matches(fault)).map(({ name }) => name)
  const works = namesWhere((fault) => fault === undefined)
  const refused = namesWhere((fault) => fault === 'wrong_credential')
  const untried = namesWhere((fault) => fault !== undefined && fault !== 'wrong_credential')
  return [
    ...(refused.length > 0
      ? [
          fail('databases', `${refused.length} refuse the stored administrator's password: ${some(refused)}`, {
            why: 'it was rotated after the backup, and the new one is lost: no role can be created or dropped there',
            do: 'set a new password at the database server, then: purser database replace NAME --file … --password-file …',
          }),
        ]
      : []),
    ...(works.length > 0 ? [ok('databases', `${works.length} accept the stored administrator's password`)] : []),
    ...(untried.length > 0
      ? [
          skipped(
            'databases',
            `${untried.length} could not be tried with the stored administrator's password: ${some(untried)}`,
            {
              why: 'the database server cannot be reached from here, or is not trusted',
              do: 'when a server runs: purser database check NAME',
            },
          ),
        ]
      : []),
  ]
}

async function lookAtDatabases({ db }: Offline, now: Date): Promise<Finding[]> {
  const names = await databaseNames(db.knex)
  const { leases, rotations } = await countOpen(db.knex, now)
  const findings: Finding[] = []
  if (rotations > 0) {
    findings.push(
      warn('rotations', `${rotations} were in progress at the time of the backup`, {
        why: 'they resume from that point, but their target may be further along',
        do: 'purser secret status',
      }),
    )
  }
  if (names.length > 0) {
    findings.push(
      warn('leases', `roles created after the backup may exist in ${some(names)}`, {
        why: `their passwords work until the roles are dropped; ${leases} leases from before the backup are open and end by themselves`,
        do: 'the orphan scan of each database drops them: check its log lines, and pg_roles',
      }),
    )
  }
  return findings
}
