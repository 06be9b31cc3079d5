/** The list of a key's revoked certificates that a process maintains, compared with a fresh read. */
import { randomBytes } from 'node:crypto'
import { array, assert, asyncProperty, constantFrom, integer, oneof, record } from 'fast-check'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { createLeafList } from '../../src/actions/keys/crl-lists.ts'
import type { CrlList, CrlScope } from '../../src/issue/crl-list.ts'
import { crlShards } from '../../src/issue/crl-shards.ts'
import { serialFrom } from '../../src/keys/certificate.ts'
import type { Database, Knex } from '../../src/store/database.ts'
import type { Snapshot } from '../../src/store/snapshot.ts'
import { deleteExpired } from '../../src/store/sweep.ts'
import { describeBothStores } from '../support/database.ts'

const start = Date.UTC(2026, 10, 27)
const at = (seconds: number): Date => new Date(start + seconds * 1000)
const snapshotAt = (revision: number) => ({ revision }) as Snapshot

/** The entries of a CRL, sorted by their bytes. */
function entriesOf(list: CrlList, scope: CrlScope, endedAfter: Date): string[] {
  const { entries, count } = list.contentOf(scope, endedAfter)
  const encoded: string[] = []
  for (let rest = Buffer.concat(entries); rest.length > 0;) {
    const length = 2 + (rest[1] ?? 0)
    encoded.push(rest.subarray(0, length).toString('hex'))
    rest = rest.subarray(length)
  }
  expect(encoded).toHaveLength(count)
  return encoded.toSorted()
}

type Act =
  | { revoke: number; key: 'a' | 'b'; kind: 'serialNumber' | 'jti'; reason: string | null; lifeSeconds: number }
  | { block: true }
  | { release: true }
  | { passSeconds: number }
  | { sweep: true }
  | { read: true }

const acts = array(
  oneof(
    record({
      revoke: integer({ min: 1, max: 30 }),
      key: constantFrom('a', 'b'),
      kind: constantFrom('serialNumber', 'serialNumber', 'jti'),
      reason: constantFrom('keyCompromise', 'superseded', 'unspecified', null),
      lifeSeconds: integer({ min: 1, max: 3_000 }),
    }),
    record({ block: constantFrom(true) }),
    record({ release: constantFrom(true) }),
    record({ passSeconds: integer({ min: 1, max: 1_500 }) }),
    record({ sweep: constantFrom(true) }),
    record({ read: constantFrom(true) }),
  ),
  { minLength: 1, maxLength: 30 },
)

describeBothStores('the list of a CRL', (open) => {
  let db: Database
  let revision: number
  let now: number

  beforeAll(async () => {
    db = await open()
  })
  beforeEach(() => reset())

  async function reset(): Promise<void> {
    await db.knex('block').delete()
    ;[revision, now] = [1, 0]
  }

  type Row = { kind: string; value: string; key_id?: string; reason?: string | null; until: Date }
  async function insert(rows: Row[]): Promise<void> {
    revision++
    const added = rows.map((row) => ({
      id: `blk_${randomBytes(8).toString('hex')}`,
      at: at(now),
      revocation: 'rev_1',
      changed: revision,
      ...row,
    }))
    await db.knex('block').insert(added)
  }
  const revoked = (key: string, lifeSeconds: number, more: Partial<Row> = {}): Row => ({
    kind: 'serialNumber',
    value: serialFrom(randomBytes(16)).toString('hex'),
    key_id: key,
    until: at(now + lifeSeconds),
    ...more,
  })

  async function perform(act: Act): Promise<void> {
    if ('revoke' in act) {
      const { revoke: count, key, kind, reason, lifeSeconds } = act
      await insert(Array.from({ length: count }, () => revoked(key, lifeSeconds, { kind, reason })))
    } else if ('block' in act) {
      await insert([{ kind: 'instance', value: randomBytes(8).toString('hex'), until: new Date('9999-12-31') }])
    } else if ('release' in act) {
      revision++
      await db
        .knex('block')
        .where({ kind: 'instance' })
        .update({ until: at(now), changed: revision })
    } else if ('passSeconds' in act) now += act.passSeconds
    else if ('sweep' in act) await deleteExpired(db.knex, 'block', at(now - 900), 500)
  }

  it('is what a new process reads, after any revocations, releases, expiries and sweeps', async () => {
    await assert(
      asyncProperty(acts, async (list: Act[]) => {
        await reset()
        const readUpdates = createLeafList(db, 'a')
        for (const act of [...list, { read: true } as const]) {
          await perform(act)
          if (!('read' in act)) continue
          const endedAfter = at(now - 600)
          const [updated, full] = await Promise.all([
            readUpdates(snapshotAt(revision), endedAfter),
            createLeafList(db, 'a')(snapshotAt(revision), endedAfter),
          ])
          expect(updated.revision).toBe(revision)
          for (const scope of ['whole', ...Array(crlShards).keys()] as const)
            expect(entriesOf(updated.list, scope, endedAfter)).toEqual(entriesOf(full.list, scope, endedAfter))
        }
      }),
      { numRuns: 25 },
    )
  })

  it('misses nothing and repeats nothing after a failed read', async () => {
    await insert(Array.from({ length: 300 }, () => revoked('a', 600)))
    let failures = 2
    const knex = new Proxy(db.knex, {
      get(target, name) {
        if (name !== 'transaction' || failures === 0) return Reflect.get(target, name)
        return async (run: (tx: Knex.Transaction) => Promise<void>) =>
          db.knex.transaction(async (tx) => {
            await run(tx)
            failures--
            throw new Error('the connection is lost')
          })
      },
    })
    const read = createLeafList({ knex }, 'a')
    await expect(read(snapshotAt(revision), at(0))).rejects.toThrow('lost')
    await expect(read(snapshotAt(revision), at(0))).rejects.toThrow('lost')
    expect(entriesOf((await read(snapshotAt(revision), at(0))).list, 'whole', at(0))).toHaveLength(300)

    await insert(Array.from({ length: 7 }, () => revoked('a', 600)))
    failures = 1
    await expect(read(snapshotAt(revision), at(0))).rejects.toThrow('lost')
    const { list } = await read(snapshotAt(revision), at(0))
    expect(new Set(entriesOf(list, 'whole', at(0))).size).toBe(307)
  })

  it('has no row of a later revision than the requested one, and all rows up to it', async () => {
    await insert([revoked('a', 600)])
    const first = revision
    await insert([revoked('a', 600)])
    const read = createLeafList(db, 'a')
    expect(entriesOf((await read(snapshotAt(first), at(0))).list, 'whole', at(0))).toHaveLength(1)
    // Concurrent requests, the older last.
    const states = await Promise.all([read(snapshotAt(revision), at(0)), read(snapshotAt(first), at(0))])
    for (const state of states) expect(entriesOf(state.list, 'whole', at(0))).toHaveLength(2)
  })
})
