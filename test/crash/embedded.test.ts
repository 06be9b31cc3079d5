/** The embedded store survives the death of its process: another takes its lock over and finds everything acknowledged. */
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { openEmbedded } from '../../src/store/embedded.ts'
import { startCluster } from './support/cluster.ts'
import { judge } from './support/judge.ts'
import { startLoad, summaryOf } from './support/load.ts'
import { startOperator } from './support/operator.ts'
import { print, countFor } from './support/print.ts'

const kills = countFor('PURSER_CRASH_EMBEDDED_KILLS', 5)

it(`is killed ${kills} times under load`, async () => {
  const cluster = await startCluster({ replicas: 1, embedded: true })
  const [purser] = cluster.replicas
  if (!purser) throw new Error('nothing was started')
  try {
    const load = startLoad(cluster, { connections: 16, refuseEvery: 20 })
    const operator = startOperator(cluster, { name: 'op' })
    for (let n = 0; n < kills; n++) {
      await load.granted(20)
      await pause(randomInt(500))
      await purser.kill()
      await purser.start()
    }
    await load.granted(20)
    await Promise.all([load.stop(), operator.stop()])
    await purser.stop()
    const db = await openEmbedded({ dataDir: join(purser.dataDir, 'db') })
    const verdict = await judge(db.knex, cluster.evidence)
    await db.close()
    const replies = summaryOf(load.counts)
    print('embedded store, kill -9', { kills, replies, changes: summaryOf(operator.counts) }, verdict)
    expect(verdict.problems).toEqual([])
    expect([...purser.deaths, ...purser.complaints]).toEqual([])
    expect(Object.fromEntries([...load.counts, ...operator.counts])).not.toHaveProperty('500')
  } finally {
    await cluster.stop()
  }
})
