/**
 * `node --conditions=purser-source --import tsx bench/crls.ts [--sizes 100,10000,100000] [--runs 20]`: measures a
 * revocation, the fetch of a CRL after it, and one that has not changed, at growing numbers of revoked certificates, which
 * SQL inserts. 1,000,000 takes some minutes.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { crlShardOf } from '../src/issue/crl-shards.ts'
import { createLab } from '../test/support/lab.ts'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { startPurser } from '../test/support/purser.ts'
import { fillTables } from './fill.ts'
import { printTimes, printTitle } from './print.ts'

const { values: flags } = parseArgs({
  options: { sizes: { type: 'string', default: '100,10000,100000' }, runs: { type: 'string', default: '20' } },
})
const runs = Number(flags.runs)
const say = (line: string): void => void process.stdout.write(`  ${line}\n`)
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`

async function measure(revoked: number, url: string): Promise<void> {
  printTitle(`${revoked.toLocaleString('en')} revoked certificates`)
  const env = { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000000', PURSER_MIGRATE: 'auto' }
  const access = { url, rootKey: Buffer.alloc(32, 1).toString('base64'), admin: '' }
  const first = await startPurser({ existing: access, env })
  await fillTables(url, { entries: 0, secrets: 0, revoked })
  const { admin } = first
  await first.stop()
  const startedAt = performance.now()
  const purser = await startPurser({ existing: { ...access, admin }, env })
  say(`ready after ${((performance.now() - startedAt) / 1000).toFixed(1)} s; ${megabytes(process.memoryUsage().rss)}`)
  const loop = monitorEventLoopDelay({ resolution: 2 })
  try {
    const lab = await createLab(purser)
    const [{ id: keyId }] = await purser.knex('signing_key').where({ kind: 'issuing-ca' }).select('id')
    const get = async (path: string, tag?: string) => {
      const start = performance.now()
      const headers = tag === undefined ? {} : { 'if-none-match': tag }
      const response = await fetch(`${purser.url}/crl/${path}`, { headers })
      const bytes = (await response.arrayBuffer()).byteLength
      return { ms: performance.now() - start, bytes, status: response.status, tag: response.headers.get('etag') ?? '' }
    }
    /** Repeats a measurement; the event loop's longest turn is that of the whole. */
    async function repeat(name: string, work: () => Promise<number>): Promise<void> {
      loop.reset()
      loop.enable()
      const times: number[] = []
      for (let n = 0; n < runs; n++) times.push(await work())
      loop.disable()
      printTimes(name, times)
      say(`  the longest turn of the event loop ${(loop.max / 1e6).toFixed(0)} ms`)
    }
    async function revoke(): Promise<{ ms: number; shard: number }> {
      const { serialNumber } = await lab.get()
      const start = performance.now()
      await purser.asAdmin('POST', '/api/v1/revocations', { serialNumber })
      return { ms: performance.now() - start, shard: crlShardOf(Buffer.from(serialNumber, 'hex')) }
    }

    loop.enable()
    const cold = await get(`${keyId}/0`)
    say(`the first CRL ${cold.ms.toFixed(0)} ms; the longest turn of the event loop ${(loop.max / 1e6).toFixed(0)} ms`)
    await revoke()
    await repeat('a revocation', async () => (await revoke()).ms)
    await repeat('its shard after it', async () => (await get(`${keyId}/${(await revoke()).shard}`)).ms)
    await repeat('the whole CRL after it', async () => {
      await revoke()
      return (await get(keyId)).ms
    })
    const [shard, whole] = [await get(`${keyId}/0`), await get(keyId)]
    await repeat('a shard again', async () => (await get(`${keyId}/0`)).ms)
    await repeat('a shard again, by its tag', async () => (await get(`${keyId}/0`, shard.tag)).ms)
    say(`a shard has ${megabytes(shard.bytes)}, the whole CRL ${megabytes(whole.bytes)}`)
    for (let n = 0; n < 64; n++) await get(`${keyId}/${n}`)
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    say(`with every CRL: ${megabytes(rss)} resident, heap ${megabytes(heapUsed)}, buffers ${megabytes(external)}`)
  } finally {
    await purser.stop()
  }
}

for (const size of flags.sizes.split(',').map(Number)) {
  const postgres = await startOwnPostgres({ settings: { autovacuum: 'on', shared_buffers: '256MB' } })
  try {
    await measure(size, postgres.url)
  } finally {
    await postgres.stop()
  }
}
