import { randomBytes, randomUUID } from 'node:crypto'
import { beforeAll, expect, it } from 'vitest'
import { makeEntry, seal } from '../../src/audit/seal.ts'
import type { EntryPart } from '../../src/audit/entry.ts'
import type { Database, Knex } from '../../src/store/database.ts'
import { appendItems, lockHead, newBatchId } from '../../src/store/log.ts'
import { describeBothStores } from '../support/database.ts'

const sealed = (part: EntryPart) =>
  seal(
    makeEntry({ requestId: 'req_x', action: 'credentials.issue', time: new Date(), actor: { kind: 'system' } }, part),
    randomBytes,
  )

/** As DESIGN.md, Storage wants it in production: everything granted but ownership. */
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
    ])
  })

  /** A redaction of [from, to) in one transaction; `entry` is what its own entry says. */
  async function redact(
    from: number,
    to: number,
    { entry, says = { epoch: 1, from, to } }: { entry?: EntryPart['action'] | null; says?: object } = {},
  ): Promise<void> {
    await db.knex.transaction(async (tx) => {
      const head = await lockHead(tx)
      const place = { entry_epoch: head.epoch, entry_idx: head.size }
      await tx('log_redaction').insert({ id: randomUUID(), epoch: 1, from_idx: from, to_idx: to, ...place })
      await tx('log_entry')
        .where({ epoch: 1 })
        .whereBetween('idx', [from, to - 1])
        .update({ body: null, nonce: null, terms: [] })
      if (entry === null) return
      await appendItems(tx, newBatchId(), 1, [sealed({ action: entry ?? 'log.redact', detail: { ...says } })])
    })
  }

  it.each([
    ['an entry changed', `update log_entry set body = '{}' where idx = 1`],
    ['its commitment changed', `update log_entry set leaf = decode(repeat('00', 32), 'hex') where idx = 1`],
    ['its place changed', 'update log_entry set idx = 99 where idx = 1'],
    ['its time changed', 'update log_entry set at = now() where idx = 1'],
    ['its terms changed', `update log_entry set terms = '{}' where idx = 1`],
    ['its text alone taken', 'update log_entry set body = null where idx = 1'],
    [
      'text and nonce taken without a redaction',
      `update log_entry set body = null, nonce = null, terms = '{}' where idx = 1`,
    ],
    ['an entry deleted', 'delete from log_entry where idx = 1'],
    ['all of them gone', 'truncate log_entry'],
    ['a tile changed', `update log_tile set hashes = decode(repeat('00', 8192), 'hex')`],
    ['a tile deleted', 'delete from log_tile'],
    ['the tiles gone', 'truncate log_tile'],
    ['an epoch changed', `update log_epoch set reason = 'another'`],
    ['an epoch deleted', 'delete from log_epoch'],
    ['the epochs gone', 'truncate log_epoch'],
  ])('refuses to have %s, also to the application', async (_, sql) => {
    await expect(db.knex.raw(sql)).rejects.toMatchObject(refused)
    await expect(asApplication(db, (tx) => tx.raw(sql))).rejects.toMatchObject(refused)
  })

  it('refuses to have a redaction changed or taken back', async () => {
    await redact(18, 19)
    for (const sql of ['update log_redaction set to_idx = 4', 'delete from log_redaction', 'truncate log_redaction']) {
      await expect(db.knex.raw(sql)).rejects.toMatchObject(refused)
      await expect(asApplication(db, (tx) => tx.raw(sql))).rejects.toMatchObject(refused)
    }
  })

  it('lets a redaction take text, nonce and terms of its range, and nothing else', async () => {
    const before = await db.knex('log_entry').orderBy('idx')
    await redact(11, 13)
    const after = await db.knex('log_entry').orderBy('idx')
    for (const [index, row] of before.entries()) {
      const taken = index === 11 || index === 12
      expect(after[index]).toEqual(taken ? { ...row, body: null, nonce: null, terms: [] } : row)
    }
    // Not by a redaction of an earlier transaction.
    const sql = `update log_entry set body = null, nonce = null, terms = '{}' where idx = 13`
    await expect(db.knex.raw(sql)).rejects.toMatchObject(refused)
  })

  it.each([
    ['the first entry, which says where the epoch came from', 0, 1],
    ['a redaction entry', 20, 21],
  ])('never lets a redaction take %s', async (_, from, to) => {
    await expect(redact(from, to)).rejects.toMatchObject(refused)
  })

  it.each([
    ['none', { entry: null }],
    ['of another action', { entry: 'key.read' as const }],
    ['for another range', { says: { epoch: 1, from: 1, to: 2 } }],
    ['for another epoch', { says: { epoch: 2, from: 1, to: 3 } }],
  ])('keeps a redaction only with its entry: %s', async (_, options) => {
    await expect(redact(1, 3, options)).rejects.toThrow('a redaction needs its entry in the log')
    expect(await db.knex('log_redaction').where('from_idx', '<', 10)).toEqual([])
    expect(await db.knex('log_entry').whereNull('body').where('idx', '<', 10)).toEqual([])
  })
})
