/** Rotates a database password while a service uses it, and proves who holds it now. */
import { setTimeout } from 'node:timers/promises'
import type { Purser } from '@purser/sdk'
import { isProven, proofTable, prove } from '../secret/proof.ts'
import { canLogIn } from './database.ts'
import { readEntries, showEntries } from './entries.ts'
import type { Screen } from './screen.ts'
import { credentialIn, startService } from './service.ts'
import type { Stage } from './stage.ts'
import { secretPath } from './workloads.ts'

const secret = { path: { path: secretPath } }

/** The expected entries of the log, in order. */
const expectedEntries = [
  'secret.rotate intended',
  'secret.rotate completed',
  'secret.read granted',
  'secret.ack granted',
  'secret.retire intended',
  'secret.retire completed',
]

/** Returns false without a database. */
export async function rotate(stage: Stage, screen: Screen, { orders }: { orders: Purser }): Promise<boolean> {
  const { database, api } = stage
  if ('missing' in database) {
    screen.title('5, 6  SKIPPED: rotate a database password while a service uses it')
    screen.line(`  There is no Postgres for it: ${database.missing}`)
    return false
  }
  screen.title('5  Rotate the password of a database while orders uses it')
  screen.line(`  ${database.what}. orders, the SDK and a pg pool, is PLAYED BY THIS PROCESS.`)
  const old = credentialIn(await orders.secrets.get(secretPath))
  const service = await startService(database, orders, secretPath)
  stage.atEnd(() => service.stop())
  await service.serve(100)
  await untilWatched(stage)
  const works = [...service.answered.keys()].join() === old.username
  screen.check(works, 'before', `orders queries as ${old.username}, with version 1 of ${secretPath}`)

  const startedAt = performance.now()
  const { logIndex } = await api.call('POST', '/api/v1/secrets/{path}:rotate', { ...secret, body: {} })
  const { state, lastError } = await untilEnded(stage)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  screen.check(state === 'retired', 'rotate', lastError ?? `version 2, and version 1 ${state}, in ${seconds} s`)

  await service.serve(100)
  const [move] = service.moves
  const smooth = move !== undefined && service.answered.has(move.to) && service.errors.length === 0
  const summary = `uses ${move?.to ?? 'no role'} now, not restarted; ${service.total()} queries, ${service.errors.length} errors`
  screen.check(smooth, 'orders', [summary, ...service.errors.slice(0, 1)].join(': '))
  const retired = move?.oldStillWorked === true && !(await canLogIn(database, old))
  screen.check(
    retired,
    old.username,
    retired ? 'worked until orders had switched, and is refused now' : 'ended at the wrong time',
  )

  const fromIndex = Number(logIndex?.split('/')[1])
  const entries = await readEntries(stage, { path: secretPath, order: 'asc', limit: 200, fromIndex })
  // The demo itself looks at the rotation meanwhile, and each look is an entry.
  const items = entries.filter(({ entry }) => entry.action !== 'secret.inspect').slice(0, expectedEntries.length)
  showEntries(screen, items)
  const actual = items.map(({ entry }) => `${entry.action} ${entry.outcome}`)
  screen.require(actual.join() === expectedEntries.join(), 'the log has other entries')
  return true
}

/** Waits for the watch, so that the log has only the expected entries. */
async function untilWatched({ api }: Stage): Promise<void> {
  for (const until = performance.now() + 60_000; performance.now() < until; await setTimeout(50)) {
    if ((await api.all('/api/v1/secrets/{path}:consumers', secret)).some(({ watching }) => watching)) return
  }
}

/** Waits for the end of the rotation, for at most a minute. */
async function untilEnded({ api }: Stage): Promise<{ state: string; lastError?: string }> {
  for (const until = performance.now() + 60_000; ; await setTimeout(300)) {
    const { rotation } = (await api.call('GET', '/api/v1/secrets/{path}:rotation', secret)).body
    if (!rotation || rotation.endedAt !== undefined || performance.now() > until) {
      return rotation ?? { state: 'not started' }
    }
  }
}

/** Shows what `purser secret consumers --proof` prints. */
export async function showHolders(
  { api, vkeys }: Stage,
  screen: Screen,
  { orders }: { orders: Purser },
): Promise<void> {
  screen.title(`6  Who holds it now? purser secret consumers ${secretPath} --proof`)
  const proven = await prove(api, secretPath, await api.all('/api/v1/secrets/{path}:consumers', secret), vkeys)
  for (const line of proofTable(proven).trimEnd().split('\n')) screen.line(`  ${line}`)
  const [consumer] = proven
  const holds =
    proven.length === 1 && consumer?.holder === orders.session.id && consumer.version === 2 && isProven(consumer)
  screen.require(holds, 'expected only orders, proved by the log')
}
