/** A database's password is rotated under the service that uses it, and who holds it now is proved. */
import { setTimeout } from 'node:timers/promises'
import type { Purser } from '@purser/sdk'
import { isProven, proofTable, prove } from '../secret/proof.ts'
import { letsIn } from './database.ts'
import { readEntries, showEntries } from './entries.ts'
import type { Screen } from './screen.ts'
import { credentialIn, startService } from './service.ts'
import type { Stage } from './stage.ts'
import { secretPath } from './workloads.ts'

const secret = { path: { path: secretPath } }

/** What must be in the log, in this order. */
const story = [
  'secret.rotate intended',
  'secret.rotate completed',
  'secret.read granted',
  'secret.ack granted',
  'secret.retire intended',
  'secret.retire completed',
]

/** Answers whether there was a database to do it with. */
export async function rotate(stage: Stage, screen: Screen, { orders }: { orders: Purser }): Promise<boolean> {
  const { database, api } = stage
  if ('missing' in database) {
    screen.title('5, 6  LEFT OUT: a database password is rotated while a service uses it')
    screen.line(`  There is no Postgres for it: ${database.missing}`)
    return false
  }
  screen.title('5  The password of a database is rotated while orders serves from it')
  screen.line(`  ${database.what}. orders, the SDK and a pg pool, is PLAYED BY THIS PROCESS.`)
  const old = credentialIn(await orders.secrets.get(secretPath))
  const service = await startService(database, orders, secretPath)
  stage.atEnd(() => service.stop())
  await service.serve(100)
  await watched(stage)
  const works = [...service.answered.keys()].join() === old.username
  screen.check(works, 'before', `orders asks as ${old.username}, by version 1 of ${secretPath}`)

  const begun = performance.now()
  const { logIndex } = await api.call('POST', '/api/v1/secrets/{path}:rotate', { ...secret, body: {} })
  const { state, lastError } = await ended(stage)
  const took = ((performance.now() - begun) / 1000).toFixed(1)
  screen.check(state === 'retired', 'rotate', lastError ?? `version 2, and version 1 ${state}, in ${took} s`)

  await service.serve(100)
  const [move] = service.moves
  const smooth = move !== undefined && service.answered.has(move.to) && service.errors.length === 0
  const moved = `went on as ${move?.to ?? 'nobody'}, not restarted; ${service.total()} queries, ${service.errors.length} errors`
  screen.check(smooth, 'orders', [moved, ...service.errors.slice(0, 1)].join(': '))
  const over = move?.oldStillWorked === true && !(await letsIn(database, old))
  screen.check(over, old.username, over ? 'worked until orders had moved, and is refused now' : 'ended at a wrong time')

  const fromIndex = Number(logIndex?.split('/')[1])
  const items = await readEntries(stage, { path: secretPath, order: 'asc', limit: story.length, fromIndex })
  showEntries(screen, items)
  const told = items.map(({ entry }) => `${entry.action} ${entry.outcome}`)
  screen.require(told.join() === story.join(), 'the log tells another story')
  return true
}

/** What is told of later would be told as well; but the log is to have the story alone. */
async function watched({ api }: Stage): Promise<void> {
  for (const until = performance.now() + 60_000; performance.now() < until; await setTimeout(50)) {
    if ((await api.all('/api/v1/secrets/{path}:consumers', secret)).some(({ watching }) => watching)) return
  }
}

/** Whatever became of it. A database that hangs keeps the demo for a minute. */
async function ended({ api }: Stage): Promise<{ state: string; lastError?: string }> {
  for (const until = performance.now() + 60_000; ; await setTimeout(100)) {
    const { rotation } = (await api.call('GET', '/api/v1/secrets/{path}:rotation', secret)).body
    if (!rotation || rotation.endedAt !== undefined || performance.now() > until) {
      return rotation ?? { state: 'never begun' }
    }
  }
}

/** As `purser secret consumers --proof` does. */
export async function showHolders(
  { api, vkeys }: Stage,
  screen: Screen,
  { orders }: { orders: Purser },
): Promise<void> {
  screen.title(`6  Who holds it now? purser secret consumers ${secretPath} --proof`)
  const proven = await prove(api, secretPath, await api.all('/api/v1/secrets/{path}:consumers', secret), vkeys)
  for (const line of proofTable(proven).trimEnd().split('\n')) screen.line(`  ${line}`)
  const [only] = proven
  const holds = proven.length === 1 && only?.holder === orders.session.id && only.version === 2 && isProven(only)
  screen.require(holds, 'not orders alone, or not proved')
}
