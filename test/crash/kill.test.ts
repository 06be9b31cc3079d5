/** Replicas that are killed at random moments: the surviving log has every credential that a client received. */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startCluster } from './support/cluster.ts'
import { startLoad, summaryOf } from './support/load.ts'
import { startOperator } from './support/operator.ts'
import { print, countFor } from './support/print.ts'
import type { Replica } from './support/replica.ts'

const kills = countFor('PURSER_CRASH_KILLS', 50)

it(`kills replicas ${kills} times under load`, async () => {
  const cluster = await startCluster({ replicas: 3 })
  try {
    const load = startLoad(cluster, { connections: 16, refuseEvery: 20 })
    const operator = startOperator(cluster, { name: 'op' })
    let killed = 0
    let inStart = 0

    /** Kills the replica while it serves, and sometimes while it starts. */
    async function torment(replica: Replica): Promise<void> {
      while (killed < kills) {
        await load.granted(10, replica)
        await pause(randomInt(500))
        killed++
        await replica.kill()
        const started = replica.start()
        if (killed < kills && randomInt(6) === 0) {
          await pause(randomInt(2_000))
          if (await Promise.race([started.then(() => false), Promise.resolve(true)])) {
            killed++
            inStart++
            const startup = started.catch(() => undefined)
            await replica.kill()
            await startup
            await replica.start()
            continue
          }
        }
        await started
      }
    }
    await Promise.all(cluster.replicas.map(torment))
    await load.granted(50)
    await Promise.all([load.stop(), operator.stop()])
    const verdict = await cluster.judge()
    const replies = summaryOf(load.counts)
    print(
      'kill -9',
      { kills: killed, 'while starting': inStart, replies, changes: summaryOf(operator.counts) },
      verdict,
    )
    expect(verdict.problems).toEqual([])
    expect(cluster.evidence.issuedReplies.length).toBeGreaterThan(kills * 5)
    expect(cluster.evidence.changed.length).toBeGreaterThan(kills / 4)
    expect(load.counts.get('lost')).toBeGreaterThan(0)
  } finally {
    await cluster.stop()
  }
})
