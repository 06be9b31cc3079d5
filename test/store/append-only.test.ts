import { randomBytes, randomUUID } from 'node:crypto'
import { beforeAll, expect, it } from 'vitest'
import { makeEntry, seal } from '../../src/audit/seal.ts'
import type { EntryPart } from '../../src/audit/entry.ts'
import type { Database, Knex } from '../../src/store/database.ts'
import { appendItems, lockHead, newBatchId } from '../../src/store/log.ts'
import { describeBothStores } from '../support/database.ts'

const days = (count: number) => new Date(Date.now() - count * 86_400_000)
const sealed = (part: EntryPart, time = days(2)) =>
  seal(
    makeEntry({ requestId: 'req_x', action: 'credentials.issue', time, actor: { kind: 'system' } }, part),
    randomBytes,
  )

/** Runs with the privileges of production (docs/running.md): all but ownership. */
async function asApplication(db: Database, work: (tx: Knex.Transaction) => Promise<unknown>): Promise<void> {
  await db.knex.transaction(async (tx) => {
    const role = `app_${randomBytes(6).toString('hex')}`
    await tx.raw(`create role ${role}`)
    await tx.raw(`grant all on all tables in schema public to ${role}`)
    await tx.raw(`set local role ${role}`)
    await work(tx)
  })
}

const refused = { code: '42501', message: expect.stringContaining('append-only') }

describeBothStores('the log', (open) => {
  let db: Database

  beforeAll(async () => {
    db = await open()
    await db.knex('log_head').insert({ instance_id: randomUUID(), trust_domain: 'x', issuer: 'y', epoch: 1 })
    await db.knex('log_epoch').insert({ epoch: 1, origin: 'x/log/1', reason: 'test', started_at: new Date() })
    await db.knex('log_tile').insert({ epoch: 1, level: 0, idx: 0, hashes: randomBytes(8192) })
    await appendItems(db.knex, newBatchId(), 1, [
      ...Array.from({ length: 20 }, () => sealed({})),
      sealed({ action: 'log.redact' }),
      sealed({ action: 'key.withdraw' }),
      sealed({ action: 'revocation.create' }),
      sealed({ action: 'workload.replace', change: { after: {} } }),
      sealed({ action: 'lease.revoke' }),
      sealed({}, days(0.9)),
    ])
  })

  type Run = readonly [from: number, to: number]
  /** Redacts in one transaction. `says` is the detail of its entry, and `takes` are the runs that lose their text. */
  async function redact(
    runs: readonly Run[],
    {
      entry = 'log.redact',
      says = { epoch: 1, runs },
      takes = runs,
    }: { entry?: EntryPart['action'] | null; says?: object; takes?: readonly Run[] } = {},
  ): Promise<void> {
    await db.knex.transaction(async (tx) => {
      const head = await lockHead(tx)
      await tx.raw(
        `insert into log_redaction (id, epoch, from_idx, to_idx, runs, entry_epoch, entry_idx)
         select gen_random_uuid(), 1, lower(r), upper(r), r, ?, ? from (select ?::int8multirange as r) as runs`,
        [head.epoch, head.size, `{${runs.map(([from, to]) => `[${from},${to})`).join()}}`],
      )
      for (const [from, to] of takes) {
        await tx('log_entry')
          .where({ epoch: 1 })
          .whereBetween('idx', [from, to - 1])
          .update({ body: null, nonce: null, terms: [] })
      }
      if (entry === null) return
      await appendItems(tx, newBatchId(), 1, [sealed({ action: entry, detail: { ...says } })])
    })
  }

  it.each([
    ['an entry changed', `update log_entry set body = '{}' where idx = 1`],
    ['its commitment changed', `update log_entry set leaf = decode(repeat('00', 32), 'hex') where idx = 1`],
    ['its place changed', 'update log_entry set idx = 99 where idx = 1'],
    ['its time changed', 'update log_entry set at = now() where idx = 1'],
    ['its terms changed', `update log_entry set terms = '{}' where idx = 1`],
    ['only its text removed', 'update log_entry set body = null where idx = 1'],
    [
      'text and nonce removed without a redaction',
      `update log_entry set body = null, nonce = null, terms = '{}' where idx = 1`,
    ],
    ['an entry deleted', 'delete from log_entry where idx = 1'],
    ['all of them deleted', 'truncate log_entry'],
    ['a tile changed', `update log_tile set hashes = decode(repeat('00', 8192), 'hex')`],
    ['a tile deleted', 'delete from log_tile'],
    ['the tiles deleted', 'truncate log_tile'],
    ['an epoch changed', `update log_epoch set reason = 'another'`],
    ['an epoch deleted', 'delete from log_epoch'],
    ['the epochs deleted', 'truncate log_epoch'],
  ])('refuses to have %s, also to the application', async (_, sql) => {
    await expect(db.knex.raw(sql)).rejects.toMatchObject(refused)
    await expect(asApplication(db, (tx) => tx.raw(sql))).rejects.toMatchObject(refused)
  })

  it('refuses to have a redaction changed or taken back', async () => {
    await redact([[18, 19]])
    for (const sql of ['update log_redaction set to_idx = 4', 'delete from log_redaction', 'truncate log_redaction']) {
      await expect(db.knex.raw(sql)).rejects.toMatchObject(refused)
      await expect(asApplication(db, (tx) => tx.raw(sql))).rejects.toMatchObject(refused)
    }
  })

  it('lets a redaction remove text, nonce and terms of its runs, and nothing else', async () => {
    const before = await db.knex('log_entry').orderBy('idx')
    await redact([
      [11, 13],
      [15, 16],
    ])
    const after = await db.knex('log_entry').orderBy('idx')
    for (const [index, row] of before.entries()) {
      const redacted = [11, 12, 15].includes(index)
      expect(after[index]).toEqual(redacted ? { ...row, body: null, nonce: null, terms: [] } : row)
    }
    // Not by a redaction of an earlier transaction.
    const sql = `update log_entry set body = null, nonce = null, terms = '{}' where idx = 13`
    await expect(db.knex.raw(sql)).rejects.toMatchObject(refused)
  })

  it('never lets a redaction remove an index between its runs', async () => {
    const runs = [
      [3, 4],
      [5, 6],
    ] as const
    await expect(redact(runs, { takes: [[3, 6]] })).rejects.toMatchObject(refused)
  })

  it.each([
    ['the first entry, which states the origin of the epoch', 0],
    ['a redaction entry', 20],
    ['an entry about a key', 21],
    ['a revocation', 22],
    ['a change of policy', 23],
    ['the end of a lease by an operator', 24],
    ['an entry of today', 25],
  ])('never lets a redaction remove %s', async (_, index) => {
    await expect(redact([[index, index + 1]])).rejects.toMatchObject(refused)
  })

  it.each([
    ['none', { entry: null }],
    ['of another action', { entry: 'key.read' as const }],
    ['for a range', { says: { epoch: 1, from: 1, to: 3, redacted: 2 } }],
    ['for other runs', { says: { epoch: 1, runs: [[1, 2]] } }],
    ['for more runs', { says: { epoch: 1, runs: [[1, 4]] } }],
    ['for an entry that keeps its text', { takes: [[1, 2]] as const }],
    ['for another epoch', { says: { epoch: 2, runs: [[1, 3]] } }],
  ])('keeps a redaction only with its entry: %s', async (_, options) => {
    await expect(redact([[1, 3]], options)).rejects.toThrow('a redaction needs its entry in the log')
    expect(await db.knex('log_redaction').where('from_idx', '<', 10)).toEqual([])
    expect(await db.knex('log_entry').whereNull('body').where('idx', '<', 10)).toEqual([])
  })
})
