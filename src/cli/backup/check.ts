/** Looks through a database that was put back: whether its values open, and what the lost time may have changed. */
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
    const { findings, kept } = await lookAtEpoch(offline, parts)
    const since = parts.since ?? kept
    const tried = await withWorks(offline, async (works, admins) => [
      ...(await lookAtValues(offline, { since, works: parts.works ?? works })),
      ...lookAtAdmins(await admins()),
    ])
    return [...findings, ...tried, ...(await lookAtDatabases(offline, parts.now))]
  } finally {
    await offline.db.close()
  }
}

/** Whether the lost time was cut off, and when what is here was kept. */
async function lookAtEpoch({ db, head }: Offline, { now }: Parts): Promise<{ findings: Finding[]; kept: Date }> {
  const check = 'epoch'
  const epochs = await lastEntries(db.knex)
  const before = epochs.findLast(({ epoch }) => epoch < head.epoch)
  const kept = before?.at ?? epochs.at(-1)?.at ?? now
  const { sessions } = await countOpen(db.knex, now)
  const findings: Finding[] = []
  if (head.epoch === 1) {
    findings.push(
      fail(check, 'no new epoch has begun', {
        why: 'what was given out after the backup is taken as long as it lives, and nobody here knows of it',
        do: 'end every replica, then: purser log new-epoch --reason "restored"',
      }),
    )
  } else {
    findings.push(ok(check, `${head.epoch} began after what was kept at ${kept.toISOString()}`))
  }
  if (head.epoch > 1 && !head.issuing && sessions === 0) findings.push(ok(check, 'no session of before lives'))
  if (head.epoch > 1 && !head.issuing) {
    findings.push(
      note(check, 'issuing is closed until the review is over', {
        do: 'make the revocations and blocks of the lost time again, then: purser log open --reason "…"',
      }),
    )
  }
  return { findings, kept }
}

/** An administrator's password that was replaced in the lost time is known to nobody any more. */
function lookAtAdmins(admins: Awaited<ReturnType<Admins>>): Finding[] {
  const of = (is: (fault: string | undefined) => boolean): string[] =>
    admins.filter(({ fault }) => is(fault)).map(({ name }) => name)
  const [works, dead] = [of((fault) => fault === undefined), of((fault) => fault === 'wrong_credential')]
  const untried = of((fault) => fault !== undefined && fault !== 'wrong_credential')
  return [
    ...(dead.length > 0
      ? [
          fail('databases', `${dead.length} do not take the administrator's password that is kept: ${some(dead)}`, {
            why: 'it was replaced in the lost time, and nobody knows the new one: no role is made or taken away there',
            do: 'set another at the server, and give it: purser database replace NAME --file … --password-file …',
          }),
        ]
      : []),
    ...(works.length > 0 ? [ok('databases', `${works.length} take the administrator's password that is kept`)] : []),
    ...(untried.length > 0
      ? [
          skipped(
            'databases',
            `${untried.length} could not be asked whether they take the administrator's password: ${some(untried)}`,
            {
              why: 'the server is not reached from here, or is not one to trust',
              do: 'purser database check NAME, once a server runs',
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
      warn('rotations', `${rotations} were under way when this was kept`, {
        why: 'they go on here from where they were, and their target may be further',
        do: 'purser secret status',
      }),
    )
  }
  if (names.length > 0) {
    findings.push(
      warn('leases', `roles that were made in the lost time are known to nobody: in ${some(names)}`, {
        why: `their passwords work until somebody drops them; of before, ${leases} leases are open, and end by themselves`,
        do: 'the orphan scan of each database drops them: look at its log lines, and at pg_roles',
      }),
    )
  }
  return findings
}
