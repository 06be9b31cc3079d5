/** How long a process takes to read one change of policy, beside all that it holds. */
import { markChanged } from '../src/store/changes.ts'
import { lockHead } from '../src/store/log.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { openSnapshots } from '../src/store/snapshot.ts'

/** @returns milliseconds from the commit of each change to the updated snapshot, in ascending order */
export async function timeUpdates(url: string, count: number): Promise<number[]> {
  const { knex, close } = openPostgres({ url, poolMax: 2 })
  // Without notifications, so that each update begins when its time does.
  const listen = async () => async () => undefined
  const snapshots = await openSnapshots({ knex, listen }, { now: Date.now, onError: () => undefined })
  const ids = [...snapshots.current().workloads.values()].slice(0, count).map(({ id }) => id)
  const times: number[] = []
  for (let n = 0; n < count; n++) {
    const rows = [{ table: 'workload', where: { id: ids[n % ids.length] ?? '' } }]
    await knex.transaction(async (tx) => markChanged(tx, await lockHead(tx), rows))
    const startedAt = performance.now()
    await snapshots.refresh()
    times.push(performance.now() - startedAt)
  }
  await snapshots.stop()
  await close()
  return times.sort((a, b) => a - b)
}
