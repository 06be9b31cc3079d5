import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createNoteSigner } from '@purser/sdk/verify'
import { expect, it } from 'vitest'
import { createGroupCommit } from '../../src/audit/group-commit.ts'
import { openLog, originOf } from '../../src/audit/log.ts'
import { createRecorder } from '../../src/audit/record.ts'
import { refuse } from '../../src/errors.ts'
import { markChanged } from '../../src/store/changes.ts'
import { lockHead } from '../../src/store/log.ts'
import { openSnapshots } from '../../src/store/snapshot.ts'
import { describeBothStores } from '../support/database.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const trustDomain = 'record.example'
const signer = createNoteSigner(originOf(trustDomain, 1), privateKey)

describeBothStores('a change', (open) => {
  /** A recorder on a replica whose snapshot is outdated until it refreshes. */
  async function start() {
    const db = await open()
    await db.knex('log_head').insert({
      instance_id: '00000000-0000-4000-8000-000000000000',
      trust_domain: trustDomain,
      issuer: 'https://record.example',
      epoch: 1,
    })
    const real = await openSnapshots(db, { now: Date.now, onError: () => undefined })
    let snapshot = real.current()
    const snapshots = { current: () => snapshot, refresh: async () => (snapshot = await real.refresh()) }
    const log = await openLog({ knex: db.knex, epoch: 1, size: 0, trustDomain, signers: () => [signer] })
    await log.confirm(1, 0, async () => undefined)
    const commit = createGroupCommit({ knex: db.knex, log, now: Date.now })
    const recorder = createRecorder({ db, log, commit, snapshots, randomBytes, now: Date.now })
    return { db, recorder, stop: () => real.stop() }
  }
  const opening = {
    requestId: 'req_1',
    action: 'workload.disable' as const,
    time: new Date(),
    actor: { kind: 'system' as const },
  }

  it('a refusal by an outdated snapshot is judged again', async () => {
    const { db, recorder, stop } = await start()
    // In another process.
    await db.knex.transaction(async (tx) => {
      const head = await lockHead(tx)
      await markChanged(tx, head, [{ table: 'workload', where: { id: 'none' } }])
    })
    const revisions: number[] = []
    const { result: reply } = await recorder.change(opening, async (_, { revision }) => {
      revisions.push(revision)
      if (revision === 1) throw refuse('not_found')
      return { result: 'found', entry: {} }
    })
    expect([reply, revisions]).toEqual(['found', [1, 2]])
    await stop()
  })

  it('a refusal by the current snapshot stays, and is judged once', async () => {
    const { recorder, stop } = await start()
    let judged = 0
    const changed = recorder.change(opening, async () => {
      judged++
      throw refuse('not_found')
    })
    await expect(changed).rejects.toMatchObject({ code: 'not_found' })
    expect(judged).toBe(1)
    await stop()
  })
})
