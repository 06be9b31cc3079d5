import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { sweep } from '../../src/jobs/sweep.ts'
import type { Database } from '../../src/store/database.ts'
import { createClock } from '../support/clock.ts'
import { describeBothStores } from '../support/database.ts'

const hour = 3600
const day = 24 * hour

describeBothStores('the sweep', (open) => {
  async function filled(count: number): Promise<{ db: Database; rows: () => Promise<Record<string, number>> }> {
    const db = await open()
    const { now } = createClock()
    const at = (seconds: number): Date => new Date(now().getTime() + seconds * 1000)
    const id = (prefix: string, n: number): string => `${prefix}_${n}`
    const list = Array.from({ length: count }, (_, n) => n)
    const insert = (table: string, row: (n: number) => object) => db.knex.batchInsert(table, list.map(row), 500)
    await insert('claim', () => ({ key: randomBytes(8), holder: randomBytes(8), claimed_at: at(0), until: at(60) }))
    await insert('session', (n) => ({
      id: id('ses', n),
      instance: randomBytes(8),
      generation: 0,
      workload_id: 'wl',
      attestor_id: 'att',
      spiffe_id: 'spiffe://example.org/x',
      selectors: '{}',
      started_at: at(-60),
      expires_at: at(60),
    }))
    await insert('access_token', (n) => ({
      id: id('tok', n),
      hash: randomBytes(8),
      session_id: 'ses',
      expires_at: at(60),
    }))
    await insert('idempotency', () => ({
      key: randomBytes(8),
      request: randomBytes(8),
      status: 200,
      log_epoch: 1,
      log_idx: 1,
      showed_once: false,
      until: at(60),
    }))
    await insert('block', (n) => ({ id: id('blk', n), kind: 'jti', value: id('jti', n), at: at(0), until: at(60) }))
    await insert('lost_batch', () => ({ id: randomUUID(), at: at(60) }))
    await insert('api_token', (n) => ({
      id: id('api', n),
      hash: randomBytes(8),
      operator: 'admin',
      role: 'admin',
      created_at: at(-60),
      expires_at: at(60),
      ...(n === 0 && { revoked_at: at(0) }),
    }))
    await insert('bootstrap_token', (n) => ({
      id: id('boot', n),
      hash: randomBytes(8),
      created_at: at(-60),
      expires_at: at(60),
      ...(n === 0 && { dead_at: at(0) }),
    }))
    const tables = [
      'lost_batch',
      'api_token',
      'bootstrap_token',
      'claim',
      'session',
      'access_token',
      'idempotency',
      'block',
    ]
    const rows = async (): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {}
      for (const table of tables) {
        const [row]: { n: string }[] = await db.knex(table).count({ n: '*' })
        counts[table] = Number(row?.n)
      }
      return counts
    }
    return { db, rows }
  }

  test('deletes each kind of row at its own time after its end, and none before', async () => {
    const { db, rows } = await filled(3)
    const clock = createClock()
    const forgotten: unknown[] = []
    const job = sweep({ db, now: clock.now, snapshots: { forgetEnded: (before) => void forgotten.push(before) } })
    const tokens = { api_token: 3, bootstrap_token: 3 }
    const all = { claim: 3, session: 3, access_token: 3, idempotency: 3, block: 3, lost_batch: 3, ...tokens }
    await job.run()
    expect(await rows()).toEqual(all)
    clock.advance(2 * hour)
    await job.run()
    expect(await rows()).toEqual({ ...all, claim: 0, idempotency: 0 })
    clock.advance(day)
    await job.run()
    expect(await rows()).toMatchObject({ access_token: 0, block: 0, lost_batch: 0, session: 3, ...tokens })
    const ago = (days: number): Date => new Date(clock.now().getTime() - days * day * 1000)
    expect(forgotten.at(-1)).toEqual({ blocks: ago(1), apiTokens: ago(30) })
    clock.advance(29 * day)
    await job.run()
    expect(await rows()).toMatchObject({ session: 3, api_token: 0, bootstrap_token: 0 })
    clock.advance(61 * day)
    await job.run()
    expect(await rows()).toMatchObject({ session: 0 })
  })

  test('continues with the rows that one run leaves, a page at a time', async () => {
    const { db, rows } = await filled(1201)
    const clock = createClock()
    clock.advance(100 * day)
    const job = sweep({ db, now: clock.now, snapshots: { forgetEnded: () => undefined } })
    // Two concurrent replicas delete every row once.
    await Promise.all([job.run(), job.run()])
    await job.run()
    expect(new Set(Object.values(await rows()))).toEqual(new Set([0]))
  })

  test('deletes more rows in one run than a busy PostgreSQL adds in a minute', async () => {
    const db = await open()
    const { now } = createClock()
    const until = new Date(now().getTime() - 2 * hour * 1000)
    const insert = `insert into claim (key, holder, claimed_at, until)
                    select sha256(n::text::bytea), '', ?, ? from generate_series(1, 12000) n`
    await db.knex.raw(insert, [until, until])
    await sweep({ db, now, snapshots: { forgetEnded: () => undefined } }).run()
    const [row]: { n: string }[] = await db.knex('claim').count({ n: '*' })
    expect(Number(row?.n)).toBe(db.kind === 'postgres' ? 0 : 2000)
  })
})
