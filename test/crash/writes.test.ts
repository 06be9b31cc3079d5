/** Thousands of writes of every kind on three replicas, some of which are killed: the log has no gap, and one entry for each effect. */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startCluster } from './support/cluster.ts'
import { startLoad, summaryOf } from './support/load.ts'
import { startOperator } from './support/operator.ts'
import { print, countFor } from './support/print.ts'
import type { Replica } from './support/replica.ts'

const writes = countFor('PURSER_CRASH_WRITES', 10_000)

it(`keeps ${writes} concurrent writes in one order`, async () => {
  const cluster = await startCluster({ replicas: 3 })
  try {
    const started = performance.now()
    const load = startLoad(cluster, { connections: 48, kinds: ['jwt', 'accessToken'], refuseEvery: 3 })
    const operators = cluster.replicas.map((replica, n) =>
      startOperator(cluster, { name: `op${n}`, pauseMs: 0, replicas: [replica] }),
    )
    const total = (counts: Map<string, number>, kinds: string[]): number =>
      kinds.reduce((sum, kind) => sum + (counts.get(kind) ?? 0), 0)
    let kills = 0
    while (total(load.counts, ['200', '401']) < writes) {
      await pause(500)
      if (kills >= 3 || total(load.counts, ['200', '401']) < (writes / 4) * (kills + 1)) continue
      kills++
      const victim = cluster.replicas[randomInt(3)] as Replica
      await victim.kill()
      await victim.start()
    }
    await Promise.all([load.stop(), ...operators.map((operator) => operator.stop())])
    const seconds = (performance.now() - started) / 1000
    const verdict = await cluster.judge()
    const changes = new Map<string, number>()
    for (const { counts } of operators)
      for (const [outcome, n] of counts) changes.set(outcome, (changes.get(outcome) ?? 0) + n)
    const numbers = { kills, seconds, replies: summaryOf(load.counts), changes: summaryOf(changes) }
    print('concurrent writes', numbers, verdict)
    expect(verdict.problems).toEqual([])
    expect(verdict.entries).toBeGreaterThan(writes)
    expect(Object.fromEntries([...load.counts, ...changes])).not.toHaveProperty('500')
  } finally {
    await cluster.stop()
  }
})
