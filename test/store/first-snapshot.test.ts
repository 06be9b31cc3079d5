/** What a process reads at its start: policy without deleted rows, and whether many certificates are revoked. */
import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Database } from '../../src/store/database.ts'
import { openSnapshots } from '../../src/store/snapshot.ts'
import { describeBothStores } from '../support/database.ts'

const hour = 3600_000
const start = Date.UTC(2026, 0, 1)
/** Hours from the start to the end of each revoked certificate, of two keys. */
const ends = { first: [1, 2, 2, 5, 9], second: [3, 3, 4, 8] }

describeBothStores('a first snapshot', (open) => {
  async function prepare(): Promise<Database> {
    const db = await open()
    await db
      .knex('log_head')
      .insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'https://x', epoch: 1 })
    await db.knex.raw(`insert into keyring_key (id, wrapped, root_key_id, created_at) values ('key', '', '', now())`)
    for (const [key, hours] of Object.entries(ends)) {
      await db.knex.raw(
        `insert into signing_key (id, kind, algorithm, public_key, wrapped, wrapping_key_id, created_at, active_at, retire_at, gone_at)
         values (?, 'issuing-ca', 'ES256', '', '', 'key', now(), now(), now(), now())`,
        [key],
      )
      const blocks = hours.map((end, n) => ({
        id: `blk_${key}${n}`,
        kind: 'serialNumber',
        value: `${key}${n}`,
        key_id: key,
        at: new Date(start),
        until: new Date(start + end * hour),
        revocation: 'rev_1',
      }))
      await db.knex('block').insert(blocks)
    }
    return db
  }

  it('knows at each time whether more certificates are revoked than a number', async () => {
    const db = await prepare()
    const all = [...ends.first, ...ends.second]
    for (const max of [0, 4, 8, 9]) {
      const snapshots = await openSnapshots(db, { now: Date.now, onError: () => undefined, crlShardAbove: max })
      for (let elapsed = 0; elapsed <= 10; elapsed++) {
        snapshots.forgetEnded({ blocks: new Date(start + elapsed * hour), apiTokens: new Date(start) })
        const remaining = all.filter((end) => end > elapsed).length
        const isMore = snapshots.current().blocks.revokedCertificates() > max
        expect({ max, elapsed, isMore }).toEqual({ max, elapsed, isMore: remaining > max })
      }
      await snapshots.stop()
    }
  })

  it('has the entries that exist, and none that were deleted', async () => {
    const db = await prepare()
    const attestor = { id: 'att_1', name: 'a', kind: 'oidc', spiffe_id_prefix: '/a/', definition: {}, revision: 1 }
    await db.knex('attestor').insert([attestor, { ...attestor, id: 'att_2', name: 'b', deleted_at: new Date() }])
    const definition = { match: { 'oidc:sub': 'x' }, grants: { x509: {} } }
    const entry = { id: 'wl_1', name: 'x', attestor_id: 'att_1', definition, revision: 3 }
    await db.knex('workload').insert([entry, { ...entry, id: 'wl_2', deleted_at: new Date() }])
    const snapshots = await openSnapshots(db, { now: Date.now, onError: () => undefined })
    const { workloads, attestors } = snapshots.current()
    expect([...attestors.keys()]).toEqual(['att_1'])
    expect([...workloads.values()]).toEqual([
      { id: 'wl_1', name: 'x', attestorId: 'att_1', definition, disabled: false, revision: 3 },
    ])
    expect(workloads.candidates('att_1', { 'oidc:sub': 'x' })).toEqual([workloads.get('wl_1')])
    await snapshots.stop()
  })
})
