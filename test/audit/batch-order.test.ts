/** Items of one batch are decided with the same state, so their order in the log must not contradict it. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createNoteSigner } from '@purser/sdk/verify'
import { expect, it, onTestFinished } from 'vitest'
import { createGroupCommit } from '../../src/audit/group-commit.ts'
import { openLog, originOf } from '../../src/audit/log.ts'
import type { Effects } from '../../src/store/effects.ts'
import { testPostgres } from '../support/database.ts'
import { secretWrite } from '../support/secret-write.ts'

it('a read of the earlier version precedes the write that replaces it', async () => {
  const db = await testPostgres()
  onTestFinished(() => db.close())
  const head = { instance_id: '00000000-0000-4000-8000-000000000000', trust_domain: 'example.org', issuer: 'https://x' }
  await db.knex('log_head').insert({ ...head, epoch: 1 })
  await db.knex.raw(`insert into keyring_key (id, wrapped, root_key_id, created_at) values ('key', '', '', now())`)
  const signer = createNoteSigner(originOf('example.org', 1), generateKeyPairSync('ed25519').privateKey)
  const log = await openLog({ knex: db.knex, epoch: 1, size: 0, trustDomain: 'example.org', signers: () => [signer] })
  await log.confirm(1, 0, async () => undefined)
  const sizes: number[] = []
  const commit = createGroupCommit({ knex: db.knex, log, now: Date.now, onBatch: (items) => void sizes.push(items) })
  const append = (effects: Effects) =>
    commit.append({
      leaf: randomBytes(32),
      nonce: randomBytes(32),
      body: '{}',
      at: new Date().toISOString(),
      terms: [1],
      effects,
    })
  const write = (expected: number): Effects => ({ write: secretWrite(expected) })
  const read: Effects = { reads: [{ secret: 'sec_1', version: 1, holder: 'operator:x', revision: 1 }] }
  await append(write(0))

  const [writeResult, readResult] = await Promise.all([append(write(1)), append(read)])
  expect(sizes).toEqual([1, 2])
  expect(writeResult).toMatchObject({ kind: 'appended', position: { index: 2 } })
  expect(readResult).toMatchObject({ kind: 'appended', position: { index: 1 } })
  expect(await append(read)).toEqual({ kind: 'moved' })
})
