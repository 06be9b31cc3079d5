/** The reply of `log_append` when the log accepts no entry, and the compatibility with the previous version. */
import { randomBytes, randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../../src/store/database.ts'
import type { AppendItem } from '../../src/store/append-wire.ts'
import type { Effects } from '../../src/store/effects.ts'
import { appendItems } from '../../src/store/log.ts'
import { describeBothStores } from '../support/database.ts'
import { secretWrite } from '../support/secret-write.ts'

const epoch = 1
const reason = 'the database was put back'
const closed = { closed_reason: reason, closed_at: new Date() }

const item = (members: Partial<AppendItem> = {}): AppendItem => ({
  leaf: randomBytes(32),
  nonce: randomBytes(32),
  body: '{}',
  at: new Date().toISOString(),
  terms: [1],
  ...members,
})

const instance = randomBytes(32)
const session = (id: string, zone: string) => ({
  id,
  instance,
  entryKeyed: false,
  generation: 0,
  workloadId: 'wl_1',
  attestorId: 'att_1',
  spiffeId: 'spiffe://example.org/x',
  selectors: { zone },
  expiresAt: new Date(Date.now() + 600_000),
})

const later = new Date(Date.now() + 600_000)

/** An item that is left out, for each effect whose precondition does not hold. */
const refusable: [kind: string, effects: Effects][] = [
  ['lapsed', { leases: ['lea_gone'] }],
  ['moved', { reads: [{ secret: 'sec_gone', version: 1, holder: 'operator:x', revision: 1 }] }],
  ['moved', { write: secretWrite(1) }],
  ['unknown', { ack: { secret: 'sec_gone', version: 1, holder: 'ses_1' } }],
]

describeBothStores('log_append', (open) => {
  let db: Database
  beforeEach(async () => {
    db = await open()
    await db
      .knex('log_head')
      .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch })
  })

  const append = (members?: Partial<AppendItem>) => appendItems(db.knex, randomUUID(), epoch, [item(members)])
  /** Appends as the previous version does: it sends no entryKeyed and no `refusable`. */
  const appendBefore = (items: object[], parts: string[] = [], at = epoch) =>
    db.knex.raw<{ rows: { reply: object }[] }>('select log_append(?, ?, ?, ?) as reply', [
      randomUUID(),
      at,
      JSON.stringify(items),
      parts,
    ])
  const zones = async (): Promise<unknown[]> =>
    (await db.knex('session').orderBy('id').pluck('selectors')).map((selectors: { zone: string }) => selectors.zone)
  const bytes = Buffer.alloc(32).toString('base64')
  const plain = { n: 0, leaf: bytes, nonce: bytes, body: '{}', at: new Date().toISOString(), terms: [1] }

  it.each(refusable)('leaves an item out as %s without leaving out the items beside it', async (kind, effects) => {
    await db.knex.raw(`insert into keyring_key (id, wrapped, root_key_id, created_at) values ('key', '', '', now())`)
    const claim = { key: randomBytes(32), holder: randomBytes(32), until: later }
    const token = { id: 'tok_1', hash: randomBytes(32), sessionId: 'ses_1', expiresAt: later }
    const others: Effects[] = [
      {},
      { claim },
      { session: session('ses_1', 'a') },
      { token },
      { liveSession: 'ses_1', facts: 1 },
      { write: secretWrite(0) },
    ]
    const items = [item({ revision: 1, effects }), ...others.map((other) => item({ revision: 1, effects: other }))]
    const fitting = items.filter((_, n) => !(effects.write && n === items.length - 1))
    const { size, verdicts } = await appendItems(db.knex, randomUUID(), epoch, fitting)
    expect([...verdicts]).toEqual([[0, { kind }]])
    expect(size).toBe(fitting.length - 1)
  })

  it('returns the commitments that the caller lacks, from its newest entry on', async () => {
    const items = Array.from({ length: 6 }, () => item())
    const leaves = items.map(({ leaf }) => leaf)
    await appendItems(db.knex, randomUUID(), epoch, items)
    const next = item()
    const missedAfter = async (knownSize?: number) =>
      (await appendItems(db.knex, randomUUID(), epoch, [next], knownSize)).missed
    expect(await missedAfter(4)).toEqual({ from: 3, leaves: leaves.slice(3) })
    expect(await missedAfter(0)).toEqual({ from: 0, leaves: [...leaves, next.leaf] })
    expect(await missedAfter(8)).toBeUndefined()
    expect(await missedAfter()).toBeUndefined()
  })

  it('leaves a caller that is far behind to read the rest itself', async () => {
    for (let n = 0; n < 3; n++) {
      const items = Array.from({ length: 200 }, () => item())
      await appendItems(db.knex, randomUUID(), epoch, items)
    }
    expect((await appendItems(db.knex, randomUUID(), epoch, [item()], 1)).missed).toBeUndefined()
    expect((await appendItems(db.knex, randomUUID(), epoch, [item()], 500)).missed?.leaves).toHaveLength(102)
  })

  describe.each([
    ['that is closed', closed],
    ['of another server', { server: '1/1' }],
    ['without its synchronous standby', { synchronous: true }],
  ])('on a log %s', (_, head) => {
    it('fails a change of the earlier version, which reads no verdicts', async () => {
      await db.knex('log_head').update(head)
      await expect(appendBefore([plain])).rejects.toThrow(/takes no entry/)
    })

    it('refuses each item of this version', async () => {
      await db.knex('log_head').update(head)
      const { size, verdicts } = await append()
      expect([size, verdicts.get(0)]).toEqual([0, { kind: 'epoch' }])
    })
  })

  it('reports another epoch to the earlier version', async () => {
    const { rows } = await appendBefore([plain], [], epoch + 1)
    expect(rows[0]?.reply).toMatchObject({ epoch })
    expect(rows[0]?.reply).not.toHaveProperty('verdicts')
  })

  it('checks the server again after an append that could not', async () => {
    const { rows } = await db.knex.raw<{ rows: { server: string; source: string }[] }>(
      `select log_server() as server, pg_get_functiondef('log_server'::regproc) as source`,
    )
    await db.knex('log_head').update({ server: rows[0]?.server })
    await db.knex.transaction(async (tx) => {
      await tx.raw('create or replace function log_server() returns text language sql as $$ select null::text $$')
      expect((await appendItems(tx, randomUUID(), epoch, [item()])).verdicts.get(0)).toEqual({ kind: 'epoch' })
      await tx.raw(rows[0]?.source ?? '')
      expect((await appendItems(tx, randomUUID(), epoch, [item()])).verdicts.size).toBe(0)
    })
  })

  it('applies the facts of an attestation to every session of its instance, and none from the earlier version', async () => {
    await append({ effects: { session: session('ses_1', 'a') } })
    await append({ effects: { session: session('ses_2', 'b') } })
    expect(await zones()).toEqual(['b', 'b'])
    const { id, instance: mac, selectors, expiresAt } = session('ses_1', 'a')
    const renewed = { id, instance: mac.toString('base64'), selectors, until: expiresAt, generation: 0 }
    const members = { workload: 'wl_1', attestor: 'att_1', spiffeId: 'spiffe://example.org/x', account: null }
    await appendBefore([{ ...plain, session: { ...renewed, ...members } }], ['session'])
    expect(await zones()).toEqual(['b', 'b'])
  })
})
