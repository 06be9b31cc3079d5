/** Fills the log of a registered server with entries, their commitments, and the tree. */
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { leafHash } from '@purser/sdk/verify'
import { Client } from 'pg'
import { type FullTile, type TreeState, EMPTY_TREE, growTree } from '../../src/audit/batch.ts'
import { copyRows, logColumns } from './copy.ts'
import { type LogShape, firstTime, workloadsOf } from './entries.ts'
import type { Chunk, ChunkRequest, FillData } from './fill-worker.ts'

const chunkSize = 4096

/** Node.js 20 does not hand the loader of TypeScript on to worker threads. */
const startWorker = (data: FillData): Worker =>
  new Worker(
    `import('tsx/esm/api').then(({ register }) => (register(), import(${JSON.stringify(new URL('./fill-worker.ts', import.meta.url).href)})))`,
    { eval: true, workerData: data },
  )

/** @returns the chunks in order. Each worker is at most one chunk ahead. */
async function* chunksOf(data: FillData): AsyncGenerator<Chunk> {
  const workers = Array.from({ length: availableParallelism() }, () => startWorker(data))
  const request = async (worker: Worker, chunk: ChunkRequest): Promise<Chunk> => {
    worker.postMessage(chunk, [])
    // Rejects on 'error'.
    const [reply]: Chunk[] = await once(worker, 'message')
    if (!reply) throw new Error('the worker sent nothing')
    return reply
  }
  try {
    const pending: Promise<Chunk>[] = []
    let from = 0
    const next = (worker: Worker): void => {
      const to = Math.min(from + chunkSize, data.shape.size)
      if (from < to) pending.push(request(worker, { from, to }))
      from = to
    }
    workers.forEach(next)
    for (let n = 0; pending.length > 0; n = (n + 1) % workers.length) {
      const chunk = await pending.shift()
      const worker = workers[n]
      if (worker) next(worker)
      if (chunk) yield chunk
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

const hashesIn = (leaves: Uint8Array): Buffer[] =>
  Array.from({ length: leaves.length / 32 }, (_, i) => Buffer.from(leaves.subarray(i * 32, i * 32 + 32)))

const writeTiles = (client: Client, epoch: number, tiles: readonly FullTile[]): Promise<unknown> =>
  client.query(
    `insert into log_tile (epoch, level, idx, hashes) select $1, * from unnest($2::int[], $3::bigint[], $4::bytea[])`,
    [epoch, tiles.map(({ level }) => level), tiles.map(({ index }) => index), tiles.map(({ hashes }) => hashes)],
  )

type Target = { epoch: number; size: number; leaves: Buffer[]; keyId: string; attestorId: string }

async function targetOf(client: Client): Promise<Target> {
  const { rows } = await client.query(
    `select h.epoch, h.size::int, a.id as "attestorId",
            (select id from signing_key where kind = 'issuing-ca' order by active_at desc limit 1) as "keyId",
            (select array_agg(leaf order by idx) from log_entry e where e.epoch = h.epoch) as leaves
       from log_head h, attestor a where a.name = 'bench'`,
  )
  return rows[0]
}

/** What else belongs to the log: its size, keys that were active all the time, and the sessions of the last hour. */
async function complete(client: Client, { epoch, size, attestorId }: Target, shape: LogShape): Promise<void> {
  await client.query(`update log_head set size = size + $1`, [shape.size])
  await client.query(`update signing_key set active_at = least(active_at, $1), created_at = least(created_at, $1)`, [
    new Date(shape.first),
  ])
  // The job has seen the entries.
  await client.query(
    `insert into job_state (name, state) values ('shared-keys', $1) on conflict (name) do update set state = excluded.state`,
    [JSON.stringify({ epoch, index: size + shape.size })],
  )
  await client.query(
    `insert into session (id, instance, entry_keyed, generation, workload_id, attestor_id, spiffe_id, selectors, started_at, expires_at)
     select 'ses_' || md5('s' || w || '-' || hour.n), sha256(convert_to('s' || w, 'UTF8')), false, 0, 'wl_' || md5('e' || w), $1,
            'spiffe://bench.example/bench/app-' || w,
            jsonb_build_object('oidc:ns', 'team-' || w % 1000, 'oidc:sub', 'app-' || w), now() - interval '30 minutes', now() + interval '90 minutes'
       from generate_series(0, $2::int - 1) w, (select floor(extract(epoch from now()) / 3600)::int as n) hour`,
    [attestorId, workloadsOf(shape.size)],
  )
}

/**
 * Appends `size` entries, as if they were issued at 100 a second until now. The server must be stopped.
 * @param onProgress called with the number of entries
 */
export async function fillLog(url: string, size: number, onProgress?: (done: number) => void): Promise<LogShape> {
  const [client, tileClient] = [new Client({ connectionString: url }), new Client({ connectionString: url })]
  await Promise.all([client.connect(), tileClient.connect()])
  try {
    const target = await targetOf(client)
    const shape: LogShape = { size, first: firstTime(size), keyId: target.keyId, attestorId: target.attestorId }
    // An index is built in a third of the time that its upkeep takes.
    const { rows } = await client.query(`select pg_get_indexdef('log_entry_terms'::regclass) as definition`)
    await client.query('drop index log_entry_terms')
    await client.query(`set synchronous_commit = off; set maintenance_work_mem = '1GB'`)

    let state: TreeState = EMPTY_TREE
    const grow = async (leaves: readonly Buffer[]): Promise<void> => {
      const result = growTree(state, leaves)
      state = result.state
      const { fullTiles } = result.batch
      if (fullTiles.length > 0) await writeTiles(tileClient, target.epoch, fullTiles)
    }
    // Their full tiles are in the database.
    ;({ state } = growTree(EMPTY_TREE, target.leaves.map(leafHash)))
    async function* rowsOf(): AsyncGenerator<Buffer> {
      let done = 0
      for await (const { rows: bytes, leaves } of chunksOf({ shape, epoch: target.epoch, start: target.size })) {
        yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        await grow(hashesIn(leaves))
        onProgress?.((done += leaves.length / 32))
      }
    }
    await copyRows(client, 'log_entry', logColumns, rowsOf())
    await complete(client, target, shape)
    await client.query(rows[0].definition)
    await client.query('vacuum (analyze) log_entry')
    await client.query('analyze')
    return shape
  } finally {
    await Promise.all([client.end(), tileClient.end()])
  }
}
