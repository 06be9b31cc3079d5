/** The upgrade of a database of the previous release, whose redactions name ranges. */
import { randomBytes, randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { foundation } from '../../migrations/001-foundation.ts'
import { secretsMigration } from '../../migrations/002-secrets.ts'
import type { EntryPart } from '../../src/audit/entry.ts'
import { makeEntry, seal } from '../../src/audit/seal.ts'
import type { Database, Knex } from '../../src/store/database.ts'
import { countRedacted, redactionPlaces, redactEntries } from '../../src/store/entries.ts'
import { appendItems, lockHead, newBatchId } from '../../src/store/log.ts'
import { migrate } from '../../src/store/migrate.ts'
import { describeBothStores } from '../support/database.ts'

const time = new Date(Date.now() - 40 * 86_400_000)
const sealed = (part: EntryPart) =>
  seal(
    makeEntry({ requestId: 'req_x', action: 'credentials.issue', time, actor: { kind: 'system' } }, part),
    randomBytes,
  )

/** Inserts directly, because the function of the log needs the present tables. */
async function insertEntry(knex: Knex, idx: number, part: EntryPart): Promise<void> {
  const { leaf, nonce, body, at, terms } = sealed(part)
  await knex('log_entry').insert({ epoch: 1, idx, leaf, nonce, body, at, terms, batch: randomUUID() })
}

/** Entries 2 to 4 and 6 are redacted, by an entry that names 1 to 8. */
async function fillAsBefore({ knex }: Database): Promise<void> {
  await knex.raw('drop schema public cascade')
  await knex.raw('create schema public')
  await migrate({ knex }, [foundation, secretsMigration])
  await knex('log_head').insert({ instance_id: randomUUID(), trust_domain: 'x', issuer: 'y', epoch: 1 })
  for (let idx = 0; idx < 10; idx++) await insertEntry(knex, idx, {})
  await knex.transaction(async (tx) => {
    for (const [from, to] of [
      [2, 5],
      [6, 7],
    ] as const) {
      const place = { entry_epoch: 1, entry_idx: 10 }
      await tx('log_redaction').insert({ id: randomUUID(), epoch: 1, from_idx: from, to_idx: to, ...place })
      await tx('log_entry')
        .where('idx', '>=', from)
        .where('idx', '<', to)
        .update({ body: null, nonce: null, terms: [] })
    }
    const detail = { epoch: 1, from: 1, to: 8, rule: 'a year', redacted: 4 }
    await insertEntry(tx, 10, { action: 'log.redact', detail })
    await tx('log_head').update({ size: 11 })
  })
}

describeBothStores('redactions of before', (open) => {
  it('keep their runs, and allow no more', async () => {
    const db = await open()
    await fillAsBefore(db)
    await migrate(db)
    expect(await redactionPlaces(db.knex, 1, 0, 10)).toEqual([{ epoch: 1, index: 10 }])
    expect(await redactionPlaces(db.knex, 1, 5, 6)).toEqual([])
    expect(await countRedacted(db.knex, 1, 3, 10)).toBe(3)
    const take = (runs: { from: number; to: number }[], index: number) =>
      db.knex.transaction((tx) => redactEntries(tx, { epoch: 1, runs, entry: { epoch: 1, index } }))
    await expect(take([{ from: 5, to: 6 }], 10)).rejects.toThrow('a redaction needs its entry in the log')
    await db.knex.transaction(async (tx) => {
      const { size } = await lockHead(tx)
      await redactEntries(tx, { epoch: 1, runs: [{ from: 5, to: 6 }], entry: { epoch: 1, index: size } })
      await appendItems(tx, newBatchId(), 1, [sealed({ action: 'log.redact', detail: { epoch: 1, runs: [[5, 6]] } })])
    })
    expect(await countRedacted(db.knex, 1, 0, 11)).toBe(5)
    expect(await db.knex('log_entry').whereNull('body').orderBy('idx').pluck('idx')).toEqual(['2', '3', '4', '5', '6'])
  })
})
