import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { createNoteSigner, openCheckpoint, verifyConsistency, verifyInclusion, leafHash } from '@purser/sdk/verify'
import { beforeAll, expect, it } from 'vitest'
import { rollback } from '../../src/audit/doubt.ts'
import { type Log, type Position, openLog, originOf } from '../../src/audit/log.ts'
import { makeEntry, seal } from '../../src/audit/seal.ts'
import type { Database } from '../../src/store/database.ts'
import { type LeafRange, appendItems, newBatchId, readHead } from '../../src/store/log.ts'
import { describeBothStores } from '../support/database.ts'

const signer = createNoteSigner(originOf('example.org', 1), generateKeyPairSync('ed25519').privateKey)
const sealed = () =>
  seal(
    makeEntry({ requestId: 'req_x', action: 'credentials.issue', time: new Date(), actor: { kind: 'system' } }, {}),
    randomBytes,
  )
const closed = { name: 'Refusal', code: 'issuing_closed' }

describeBothStores('one process’s view of the log', (open) => {
  let db: Database

  beforeAll(async () => {
    db = await open()
    await db.knex('log_head').insert({ instance_id: randomUUID(), trust_domain: 'example.org', issuer: 'y', epoch: 1 })
    for (let n = 0; n < 5; n++) await commit(52)
  })

  /** The group commit, up to the point at which the process adds the entries to its tree. */
  async function commit(
    count = 1,
    knownSize?: number,
  ): Promise<{ first: number; leaves: Buffer[]; missed?: LeafRange }> {
    const items = Array.from({ length: count }, sealed)
    const { first, missed } = await appendItems(db.knex, newBatchId(), 1, items, knownSize)
    return { first, leaves: items.map((item) => item.leaf), ...(missed && { missed }) }
  }

  async function start(): Promise<Log & { closings: string[]; catchUp: () => Promise<void> }> {
    const closings: string[] = []
    const { size = 0 } = (await readHead(db.knex)) ?? {}
    const parts = { knex: db.knex, epoch: 1, size, trustDomain: 'example.org', signers: () => [signer] }
    const log = await openLog({ ...parts, onClosed: ({ detail }) => closings.push(detail) })
    const catchUp = async () => log.confirm(1, (await readHead(db.knex))?.size ?? 0, async () => undefined)
    return { ...log, closings, catchUp }
  }

  function holds(position: Position | undefined, leaf: Buffer | undefined): void {
    if (!position || !leaf) throw new Error('no position')
    const { size, root } = openCheckpoint(position.checkpoint, [signer.vkey])
    expect(size).toBe(position.size)
    verifyInclusion(position.index, size, leafHash(leaf), position.inclusion, root)
  }

  /** Removes the last entries, as a restored backup does. Only the owner of the database can do this. */
  async function putBack(count: number): Promise<void> {
    await db.knex.transaction(async (tx) => {
      await tx.raw('set local session_replication_role = replica')
      const head = await readHead(tx)
      const size = (head?.size ?? 0) - count
      await tx('log_entry').where('idx', '>=', size).delete()
      await tx('log_head').update({ size })
    })
  }

  it('signs nothing and adopts nothing before confirmation', async () => {
    const log = await start()
    const { first, leaves } = await commit()
    expect(() => log.checkpoint()).toThrow(expect.objectContaining(closed))
    await expect(log.advance(1, first, leaves)).rejects.toMatchObject(closed)
    expect(log.doubt()?.detail).toBeDefined()
    await log.catchUp()
    expect(log.doubt()?.detail).toBeUndefined()
    expect(openCheckpoint(log.checkpoint(), [signer.vkey]).size).toBe(first + 1)
  })

  it('stays closed during a doubt, and permanently after a permanent one', async () => {
    const log = await start()
    const size = log.size()
    await log.confirm(1, size, async () => ({ kind: 'unread', detail: 'unread', permanent: false }))
    expect(() => log.head()).toThrow(expect.objectContaining(closed))
    expect(log.doubt()?.detail).toBe('unread')
    await log.confirm(1, size, async () => undefined)
    expect(log.doubt()?.detail).toBeUndefined()
    await log.confirm(1, size, async () => rollback('put back'))
    await log.confirm(1, size, async () => undefined)
    expect([log.doubt()?.detail, log.rolledBack()]).toEqual(['put back', true])
    expect(log.closings).toEqual(['unread', 'put back'])
  })

  it('gives each entry its index under a signed head, whichever process appended between', async () => {
    const [a, b] = [await start(), await start()]
    await Promise.all([a.catchUp(), b.catchUp()])
    const before = openCheckpoint(a.checkpoint(), [signer.vkey])
    for (let n = 0; n < 6; n++) {
      const mine = await commit(3)
      const other = await commit(2)
      // The tree first adds the batch of the other process, which is beyond this one.
      for (const [log, batch] of [
        [b, other],
        [a, mine],
      ] as const) {
        const positions = await log.advance(1, batch.first, batch.leaves)
        for (const [i, leaf] of batch.leaves.entries()) holds(positions[i], leaf)
      }
    }
    await a.catchUp()
    const after = openCheckpoint(a.checkpoint(), [signer.vkey])
    expect(after.size).toBe(before.size + 30)
    verifyConsistency(before.size, after.size, await a.consistency(before.size, after.size), before.root, after.root)
    await b.catchUp()
    expect(b.checkpoint()).toBe(a.checkpoint())
  })

  it('adds entries of other processes that its append returned, without a query', async () => {
    const log = await start()
    await log.catchUp()
    for (const others of [1, 7]) {
      await commit(others)
      const { first, leaves, missed } = await commit(2, log.size())
      const queries: unknown[] = []
      const onQuery = (query: unknown): void => void queries.push(query)
      db.knex.on('query', onQuery)
      const positions = await log.advance(1, first, leaves, missed)
      db.knex.removeListener('query', onQuery)
      for (const [i, leaf] of leaves.entries()) holds(positions[i], leaf)
      expect(queries).toEqual([])
    }
  })

  it('reads entries that its append did not return, and skips those that it has read meanwhile', async () => {
    const log = await start()
    await log.catchUp()
    const knownSize = log.size()
    await commit(3)
    const { first, leaves, missed } = await commit(2, knownSize)
    if (!missed) throw new Error('nothing was missed')
    await log.confirm(1, first - 1, async () => undefined)
    const positions = await log.advance(1, first, leaves, missed)
    for (const [i, leaf] of leaves.entries()) holds(positions[i], leaf)
    await commit(3)
    const next = await commit(2, log.size())
    const short = next.missed && { ...next.missed, from: next.missed.from + 2, leaves: next.missed.leaves.slice(2) }
    for (const [i, position] of (await log.advance(1, next.first, next.leaves, short)).entries())
      holds(position, next.leaves[i])
  })

  it('gives an index to entries that it read before their commit was answered', async () => {
    const log = await start()
    await log.catchUp()
    const { first, leaves } = await commit(4)
    await log.catchUp()
    const positions = await log.advance(1, first, leaves)
    for (const [i, leaf] of leaves.entries()) holds(positions[i], leaf)
  })

  it.each([1, 3, 20])('detects at the next append that %i entries are missing, and gives no index', async (count) => {
    const log = await start()
    await log.catchUp()
    await putBack(count)
    const { first, leaves } = await commit(2)
    expect(first).toBeLessThan(log.size())
    await expect(log.advance(1, first, leaves)).rejects.toMatchObject(closed)
    expect(log.doubt()?.detail).toContain('are not those that this process has seen there')
    await expect(log.advance(1, first, leaves)).rejects.toMatchObject(closed)
  })

  it('detects that the entries before the next append differ', async () => {
    const log = await start()
    await log.catchUp()
    await putBack(5)
    await commit(9)
    const { first, leaves, missed } = await commit(2, log.size())
    expect(first).toBeGreaterThan(log.size())
    expect(missed).toBeDefined()
    await expect(log.advance(1, first, leaves, missed)).rejects.toMatchObject(closed)
    expect(log.doubt()?.detail).toContain('is not the one this process has seen')
  })

  it('detects another epoch', async () => {
    const log = await start()
    await log.catchUp()
    await expect(log.confirm(2, 1, async () => undefined)).rejects.toMatchObject(closed)
    expect(log.doubt()?.detail).toBe('the log is in epoch 2, this process in 1')
  })
})
