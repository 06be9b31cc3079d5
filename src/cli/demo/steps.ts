/** The steps of the demo. Each shows what it did and checks it; a failed check fails the demo. */
import type { Purser } from '@purser/sdk'
import { type Receipt, linesOf, verifyExport, verifyReceipt } from '@purser/sdk/verify'
import { readEntries, showEntries } from './entries.ts'
import { type Outcome, callOrders, startOrders } from './orders.ts'
import type { Screen } from './screen.ts'
import type { Stage } from './stage.ts'
import { edit, firstProblem, remove, rewrite } from './tamper.ts'
import { type Name, attest, attestStranger, idOf, names } from './workloads.ts'

export type Cast = Record<Name, Purser>

const receiptOf = (purser: Purser): Receipt => {
  if (!purser.receipt) throw new Error('an issuance came without its receipt')
  return purser.receipt
}
const indexOf = (purser: Purser): number => receiptOf(purser).index

export async function attestAll(stage: Stage, screen: Screen): Promise<Cast> {
  const credentials = 'missing' in stage.database ? 'certificate and JWT' : 'certificate, JWT and secret'
  screen.title(`1  Each sends its token and gets ${credentials} in one request`)
  const show = async (name: Name): Promise<Purser> => {
    const purser = await attest(stage, name)
    const holds = purser.spiffeId === idOf(stage, name)
    screen.check(holds, name, `${purser.spiffeId.padEnd(44)}entry ${indexOf(purser)}`)
    return purser
  }
  return { web: await show('web'), orders: await show('orders'), batch: await show('batch') }
}

/** Turns `ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED` into words; other codes stay. */
const alert = (code: string): string =>
  code.startsWith('ERR_SSL_')
    ? code
        .replace(/^ERR_SSL_(?:TLSV\d+_ALERT_)?/, '')
        .toLowerCase()
        .replaceAll('_', ' ')
    : code

const describe = (outcome: Outcome): string =>
  'refused' in outcome ? `no connection: ${alert(outcome.refused)}` : `${outcome.status} ${outcome.text}`

export async function talk(stage: Stage, screen: Screen, { web, orders, batch }: Cast): Promise<void> {
  screen.title('2  They talk over mutual TLS; orders only serves web')
  const jwks = (await stage.api.call('GET', '/keys', { token: null })).body
  const service = await startOrders({ x509: orders.x509, serves: web.spiffeId, jwks })
  try {
    const common = { roots: stage.roots, expects: orders.spiffeId }
    const call = (as: { x509?: Purser['x509']; token?: string }): Promise<Outcome> =>
      callOrders(service, { ...common, ...as })
    const served = await call({ x509: web.x509, token: await web.jwt('orders') })
    screen.check(
      'status' in served && served.status === 200,
      'web -> orders',
      `${describe(served)}; certificates and JWT verified`,
    )
    const turnedAway = await call({ x509: batch.x509, token: await batch.jwt('orders') })
    screen.check('status' in turnedAway && turnedAway.status === 403, 'batch -> orders', describe(turnedAway))
    const anonymous = await call({})
    screen.check('refused' in anonymous, 'nobody -> orders', describe(anonymous))
  } finally {
    service.stop()
  }
}

/** Returns the request id of the refusal. */
export async function refuse(stage: Stage, screen: Screen): Promise<string> {
  screen.title('3  An unregistered workload is refused without a hint')
  const { code, requestId = '' } = await attestStranger(stage, 'miner')
  screen.check(code === 'attestation_failed', 'miner gets', `${code}, ${requestId}`)
  const { body } = await stage.api.call('POST', '/api/v1/workloads:explain', { body: { requestId } })
  const facts = Object.entries(body.selectors ?? {}).map(([key, value]) => `${key}=${String(value)}`)
  screen.check(
    body.reason === 'no_workload',
    'purser explain',
    `${body.reason ?? body.outcome}: no entry matches ${facts.join(' ')}`,
  )
  return requestId
}

export async function trail(stage: Stage, screen: Screen, { web }: Cast): Promise<void> {
  screen.title('4  Every step is in the log')
  const items = await readEntries(stage, { order: 'asc', limit: 6, fromIndex: indexOf(web) - 1 })
  showEntries(screen, items)
  const refused = items.some(({ entry }) => entry.reason === 'no_workload')
  screen.require(refused && items.some(({ index }) => index === indexOf(web)), 'entries are missing from the log')
}

/** Returns the lines of the export. */
export async function prove(stage: Stage, screen: Screen, cast: Cast): Promise<string[]> {
  screen.title('7  The log verifies offline, with only its public key')
  const { vkeys } = stage
  const receipts = names.map((name) => receiptOf(cast[name]))
  const indexes = receipts.map((receipt) => verifyReceipt(receipt, { vkeys }).index)
  screen.check(indexes.length === 3, 'receipts', `the log holds entries ${indexes.join(', ')} as they were issued`)
  const lines: string[] = []
  for await (const line of linesOf(await stage.api.open('/api/v1/audit/export'))) lines.push(line)
  const { ok, entries } = await verifyExport(lines, { vkeys, receipts })
  screen.check(ok && entries > 0, 'export', `${entries} entries, complete, unchanged and in order`)
  return lines
}

export async function tamper(stage: Stage, screen: Screen, cast: Cast, lines: readonly string[]): Promise<void> {
  screen.title('8  A changed copy is detected, down to the entry')
  const receipts = names.map((name) => receiptOf(cast[name]))
  const [edited, removed, rewritten] = [cast.web, cast.orders, cast.batch].map(indexOf)
  const attempts: [string, number | undefined, (lines: readonly string[], index: number) => string[], string][] = [
    ['edited', edited, edit, ''],
    ['removed', removed, remove, ''],
    ['and its hash', rewritten, rewrite, ", by batch's own receipt"],
  ]
  for (const [how, index = -1, change, by] of attempts) {
    const problem = await firstProblem(change(lines, index), { vkeys: stage.vkeys, receipts })
    const result = problem ? `found at ${problem.index} (${problem.code})${by}` : 'not found'
    screen.check(problem?.index === index, `${index} ${how}`, result)
  }
}
