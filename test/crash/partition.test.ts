/**
 * One of three replicas is stopped, or cut off from Postgres, in the middle of an append while it holds the head lock. The
 * others continue within seconds. The returning replica neither forks the log nor repeats its append.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, inject, it } from 'vitest'
import { startCluster } from './support/cluster.ts'
import { startLoad, summaryOf } from './support/load.ts'
import { startOperator } from './support/operator.ts'
import { print, countFor } from './support/print.ts'
import { type Message, startProxy } from '../support/postgres-proxy.ts'
import type { Replica } from './support/replica.ts'

/** A generous bound: it takes 2 to 4 s. */
const maxSeconds = 15
const awayMs = countFor('PURSER_CRASH_AWAY_MS', 8_000)

/** A change holds the lock from its read of the head to its COMMIT. */
const inChange = ({ type, sql, inTransaction }: Message): boolean =>
  type === 'P' && inTransaction && sql.startsWith('select log_append')
/** A group commit takes the lock in its only statement, which the server commits when it reads Sync. */
const inBatch = ({ type, sql, inTransaction }: Message): boolean =>
  type === 'S' && !inTransaction && sql.startsWith('select log_append')

describe.each([
  ['a change', inChange],
  ['a group commit', inBatch],
] as const)('in the middle of %s', (moment, isMiddle) => {
  it.each(['stopped', 'cut off'] as const)('a replica is %s', async (fault) => {
    const proxy = await startProxy(inject('postgres').url)
    const cluster = await startCluster({ replicas: 3, through: (n, url) => (n === 2 ? proxy.through(url) : url) })
    const [replica, two, three] = cluster.replicas as [Replica, Replica, Replica]
    try {
      const load = startLoad(cluster, { connections: 18 })
      const operator = startOperator(cluster, { name: 'op', replicas: [three] })
      await Promise.all([load.granted(100, replica), load.granted(100, three)])

      const startedAt = await new Promise<number>((resolve) => {
        proxy.judge = (message) => {
          if (!isMiddle(message)) return 'pass'
          proxy.judge = () => 'pass'
          if (fault === 'stopped') three.pause()
          else setImmediate(() => proxy.cut())
          resolve(performance.now())
          return 'stall'
        }
      })
      await Promise.all([load.granted(50, replica), load.granted(50, two), pause(awayMs)])
      const silence = Math.max(load.maxSilence(startedAt, replica), load.maxSilence(startedAt, two))

      const back = performance.now()
      three.resume()
      proxy.mend()
      await Promise.all([load.granted(50, three), load.granted(50, replica)])
      const recovery = performance.now() - back
      await Promise.all([load.stop(), operator.stop()])
      const verdict = await cluster.judge()
      const numbers = {
        'others silent for ms': silence,
        'itself back after ms': recovery,
        replies: summaryOf(load.counts),
        changes: summaryOf(operator.counts),
      }
      print(`${fault} in the middle of ${moment}`, numbers, verdict)
      expect(verdict.problems).toEqual([])
      expect(silence).toBeLessThan(maxSeconds * 1000)
      expect(recovery).toBeLessThan(maxSeconds * 1000)
      expect(Object.fromEntries(load.counts)).not.toHaveProperty('500')
    } finally {
      three.resume()
      await cluster.stop()
      proxy.stop()
    }
  })
})
