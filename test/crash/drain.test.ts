/** SIGTERM under load: every request that was sent gets its reply, and the process exits with 0. */
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startCluster } from './support/cluster.ts'
import { startLoad, summaryOf } from './support/load.ts'
import { startOperator } from './support/operator.ts'
import { print, countFor } from './support/print.ts'
import type { Replica } from './support/replica.ts'

const drains = countFor('PURSER_CRASH_DRAINS', 6)

it.each([
  ['plain HTTP', false],
  ['TLS', true],
] as const)(`drops no request over %s in ${drains} restarts`, async (name, tls) => {
  const cluster = await startCluster({ replicas: 2, tls })
  try {
    const load = startLoad(cluster, { connections: 32, refuseEvery: 10 })
    const operator = startOperator(cluster, { name: 'op' })
    const exits: (number | null)[] = []
    let slowest = 0
    for (let n = 0; n < drains; n++) {
      const replica = cluster.replicas[n % 2] as Replica
      // All clients moved to it while the other replica was drained.
      await load.granted(100, replica)
      const sentAt = performance.now()
      exits.push(await replica.stop())
      slowest = Math.max(slowest, performance.now() - sentAt)
      await pause(100)
      await replica.start()
    }
    await Promise.all([load.stop(), operator.stop()])
    const verdict = await cluster.judge()
    const numbers = {
      exits: exits.join(' '),
      'slowest ms': slowest,
      replies: summaryOf(load.counts),
      changes: summaryOf(operator.counts),
    }
    print(`drained over ${name}`, numbers, verdict)
    expect(verdict.problems).toEqual([])
    expect(exits).toEqual(exits.map(() => 0))
    // Refused connections do not count: nothing was sent on them.
    expect([...load.counts.keys()].filter((outcome) => outcome !== 'refused').toSorted()).toEqual(['200', '401'])
    expect([...operator.counts.keys()].filter((outcome) => outcome !== 'refused').toSorted()).toEqual(['200', '201'])
    expect(verdict.issued).toBe(cluster.evidence.issuedReplies.length)
  } finally {
    await cluster.stop()
  }
})
