/**
 * Replicas that die while they rotate, create and drop roles, and rewrap keys. Afterwards the state of each rotation is
 * true, each role belongs to a lease, no value is lost, and no value works that the log calls retired.
 */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { openPostgres } from '../../src/store/postgres.ts'
import { rolesAt } from '../support/leases.ts'
import type { TargetServer } from '../support/target.ts'
import { summaryOf } from './support/load.ts'
import { print, countFor } from './support/print.ts'
import { startBorrowers } from './support/secrets/borrowers.ts'
import { judgeSecretLog } from './support/secrets/judge-log.ts'
import { judgeRoles, judgeTarget } from './support/secrets/judge-target.ts'
import { startSecretLab } from './support/secrets/lab.ts'
import { createLogins } from './support/secrets/logins.ts'
import { startOperators } from './support/secrets/operators.ts'
import { startPods } from './support/secrets/pods.ts'
import {
  passTwoMinutes,
  remainingAfter,
  unsettledKeys,
  unsettledLeases,
  unsettledRotations,
} from './support/secrets/settle.ts'

const kills = countFor('PURSER_CRASH_SECRET_KILLS', 100)
const plainSecrets = 300

/** A random moment, or one in which a replica works on the target. */
async function chance(target: TargetServer): Promise<void> {
  await pause(randomInt(1_200))
  if (randomInt(2) === 0) return
  const client = await target.login('postgres', '')
  const end = performance.now() + 2_000
  while (performance.now() < end) {
    const { rowCount } = await client.query(
      `select 1 from pg_stat_activity where usename = 'purser_admin' and state <> 'idle'`,
    )
    if (rowCount !== 0) break
  }
  await client.end()
}

/** Whole seconds of each phase. */
function clockOf(startedAt: number): [Map<string, number>, (name: string) => void] {
  const phases = new Map<string, number>()
  let last = startedAt
  return [
    phases,
    (name) => {
      phases.set(name, Math.round((performance.now() - last) / 1000))
      last = performance.now()
    },
  ]
}

it(
  `kills one of two replicas ${kills} times while secrets are rotated and leased`,
  { timeout: 3_600_000 },
  async () => {
    const startedAt = performance.now()
    const lab = await startSecretLab({ postgres: 6, generated: 3, plain: plainSecrets })
    const { cluster, target } = lab
    const logins = createLogins(target)
    const db = openPostgres({ url: cluster.url ?? '', poolMax: 2 })
    const { knex } = db
    try {
      const pods = startPods(lab, knex, logins, 4)
      const borrowers = startBorrowers(lab, 3)
      const operators = startOperators(lab, { plain: plainSecrets, wrapMs: 4_000 })
      const { replicas } = cluster
      const [phases, phase] = clockOf(startedAt)
      phase('set up')
      let killed = 0
      let together = 0

      const killBoth = async (): Promise<void> => {
        await Promise.all(replicas.map((replica) => replica.kill()))
        await passTwoMinutes(knex)
        await Promise.all(replicas.map((replica) => replica.start()))
      }
      while (killed < kills) {
        const before = pods.reads()
        while (pods.reads() < before + 8) await pause(20)
        await chance(target)
        killed++
        if (randomInt(5) === 0) {
          together++
          await killBoth()
          continue
        }
        const victim = replicas[randomInt(replicas.length)]
        await victim?.kill()
        await victim?.start()
      }
      phase('killing')
      await Promise.all([borrowers.stop(), operators.stop()])
      await killBoth()

      const listRemaining = async (): Promise<string[]> => [
        ...(await unsettledRotations(knex)),
        ...(await unsettledLeases(knex)),
        ...(await unsettledKeys(knex)),
      ]
      const problems = await remainingAfter(listRemaining, 60_000)
      // The job that searches for roles without a lease runs once a minute: waits for it only if there are such roles.
      phase('settling')
      problems.push(...(await remainingAfter(() => judgeRoles(lab, knex), 75_000)))
      await pods.stop()
      problems.push(...(await judgeTarget(lab, knex, logins.all())))
      await lab.operate('POST', '/api/v1/workloads/borrower:disable')
      problems.push(
        ...(await remainingAfter(async () => rolesAt(target), 60_000)).map((role) => `${role} outlived its entry`),
      )
      problems.push(...(await remainingAfter(() => unsettledLeases(knex), 10_000)))

      phase('ending')
      const verdict = await cluster.judge()
      problems.push(...verdict.problems, ...(await judgeSecretLog(knex, verdict.log)))
      for (const { lines } of replicas)
        for (const line of lines)
          if (line.event === 'key.rewrap_failed') problems.push('values do not open under the keys that they name')
      const ends = new Map<string, number>()
      for (const { state } of await knex('rotation').select('state')) ends.set(state, (ends.get(state) ?? 0) + 1)
      const numbers = {
        kills: killed,
        'of both': together,
        reads: pods.reads(),
        rotations: summaryOf(ends),
        leases: cluster.evidence.leases.length,
        pods: summaryOf(pods.counts),
        borrowers: summaryOf(borrowers.counts),
        operators: summaryOf(operators.counts),
        seconds: summaryOf(phases),
      }
      print('kill -9 while secrets change', numbers, { ...verdict, problems })
      expect(problems).toEqual([])
      expect(ends.get('retired')).toBeGreaterThan(kills / 4)
      expect(cluster.evidence.leases.length).toBeGreaterThan(kills)
    } finally {
      await logins.close()
      await db.close()
      await lab.stop()
    }
  },
)
