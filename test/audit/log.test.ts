import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { commitment, createNoteSigner, openCheckpoint, rootOf, leafHash, verifyInclusion } from '@purser/sdk/verify'
import { expect, it } from 'vitest'
import { type Log, openLog, originOf } from '../../src/audit/log.ts'
import { appendItems, newBatchId } from '../../src/store/log.ts'
import type { Database } from '../../src/store/database.ts'
import { describeBothStores } from '../support/database.ts'

const trustDomain = 'log.example'
const { privateKey } = generateKeyPairSync('ed25519')
const signer = createNoteSigner(originOf(trustDomain, 1), privateKey)

/** Entries in the database, as any process may have appended them. */
async function append({ knex }: Database, count: number): Promise<{ first: number; leaves: Buffer[] }> {
  const items = Array.from({ length: count }, (_, n) => {
    const nonce = randomBytes(32)
    const body = JSON.stringify({ n })
    return { leaf: commitment(nonce, body), nonce, body, at: new Date().toISOString(), terms: [] }
  })
  const { first } = await appendItems(knex, newBatchId(), 1, items)
  return { first, leaves: items.map((one) => one.leaf) }
}

const agreed = async (): Promise<undefined> => undefined

describeBothStores('the log of one process', (open) => {
  async function start(): Promise<{ db: Database; log: Log; closed: string[] }> {
    const db = await open()
    await db.knex('log_head').insert({
      instance_id: '00000000-0000-4000-8000-000000000000',
      trust_domain: trustDomain,
      issuer: 'https://log.example',
      epoch: 1,
    })
    const closed: string[] = []
    const log = await openLog({
      knex: db.knex,
      epoch: 1,
      size: 0,
      trustDomain,
      signers: () => [signer],
      onClosed: (detail) => closed.push(detail),
    })
    return { db, log, closed }
  }

  it('proves entries that another look at the database read before their batch was acknowledged', async () => {
    const { db, log, closed } = await start()
    await log.confirm(1, 0, agreed)
    const { first, leaves } = await append(db, 3)
    // Postgres goes away between the reading of the entries and the end of the check.
    const broken = log.confirm(1, 3, () => Promise.reject(new Error('Connection terminated unexpectedly')))
    await expect(broken).rejects.toThrow('Connection terminated')
    const positions = await log.advance(1, first, leaves)
    expect(closed).toEqual([])
    for (const { index, checkpoint, inclusion } of positions) {
      const { size, root } = openCheckpoint(checkpoint, [signer.vkey])
      verifyInclusion(index, size, leafHash(leaves[index] as Buffer), inclusion, root)
      expect(Buffer.from(root)).toEqual(rootOf(leaves.map((leaf) => leafHash(leaf))))
    }
  })
})
