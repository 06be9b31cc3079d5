/**
 * Appends whose answer is lost, with a real Postgres behind a network that drops it. Every successful append is in
 * the log once, every other one is refused, and none waits forever.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { createNoteSigner } from '@purser/sdk/verify'
import { describe, expect, it } from 'vitest'
import { type GroupCommit, createGroupCommit } from '../../src/audit/group-commit.ts'
import { openLog, originOf } from '../../src/audit/log.ts'
import { type Recorder, createRecorder } from '../../src/audit/record.ts'
import type { Opening } from '../../src/audit/seal.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { openSnapshots } from '../../src/store/snapshot.ts'
import { testDatabase } from '../support/database.ts'
import { type Action, type Message, type Proxy, startProxy } from '../support/postgres-proxy.ts'

const trustDomain = 'lost.example'
const { privateKey } = generateKeyPairSync('ed25519')
const signer = createNoteSigner(originOf(trustDomain, 1), privateKey)

type Replica = { recorder: Recorder; commit: GroupCommit; stop(): Promise<void> }

async function openReplica(url: string): Promise<Replica> {
  const db = openPostgres({ url })
  const snapshots = await openSnapshots(db, { now: Date.now, onError: () => undefined })
  const { size } = snapshots.current()
  const log = await openLog({ knex: db.knex, epoch: 1, size, trustDomain, signers: () => [signer] })
  await log.confirm(1, size, async () => undefined)
  const commit = createGroupCommit({ knex: db.knex, log, now: Date.now })
  return {
    commit,
    recorder: createRecorder({ db, log, commit, snapshots, randomBytes, now: Date.now }),
    async stop() {
      await snapshots.stop()
      await db.close()
    },
  }
}

const opening = (requestId: string): Opening => ({
  requestId,
  action: 'credentials.issue',
  time: new Date(),
  actor: { kind: 'system' },
})

const note = ({ recorder }: Replica, id: string): Promise<{ index: number }> =>
  recorder.grant(opening(id), async () => ({ result: id, entry: {} }))
const change = ({ recorder }: Replica, id: string): Promise<{ index: number }> =>
  recorder.change(opening(id), async () => ({ result: id, entry: {} }))

/**
 * Breaks the connection once, at a message of a statement with this beginning. At Parse the server begins to work on
 * it. At Sync, outside of a transaction, it commits.
 */
function onceAt(proxy: Proxy, type: 'P' | 'S', start: string, inTransaction: boolean, action: Action): Promise<void> {
  return new Promise((resolve) => {
    proxy.judge = (message: Message) => {
      const isMatch = message.type === type && message.sql.startsWith(start) && message.inTransaction === inTransaction
      if (!isMatch) return 'pass'
      proxy.judge = () => 'pass'
      resolve()
      return action
    }
  })
}

type Place = {
  direct: Replica
  proxied: Replica
  proxy: Proxy
  entries: () => Promise<string[]>
  /** Makes Postgres report a full disk, until the returned function is called. */
  full: () => Promise<() => Promise<void>>
}

/** One replica with a direct connection, one behind the proxy; `entries` are request ids by index. */
async function use(run: (place: Place) => Promise<void>): Promise<void> {
  const database = await testDatabase()
  const proxy = await startProxy(database.url)
  const own = openPostgres({ url: database.url, poolMax: 1 })
  await own.knex('log_head').insert({
    instance_id: '00000000-0000-4000-8000-000000000000',
    trust_domain: trustDomain,
    issuer: 'https://lost.example',
    epoch: 1,
  })
  const direct = await openReplica(database.url)
  const proxied = await openReplica(proxy.through(database.url))
  try {
    await run({
      direct,
      proxied,
      proxy,
      async full() {
        await own.knex.raw(`create function "full"() returns trigger language plpgsql as
          $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`)
        await own.knex.raw(
          'create trigger "full" before insert on log_entry for each statement execute function "full"()',
        )
        return async () => void (await own.knex.raw('drop trigger "full" on log_entry'))
      },
      async entries() {
        const rows: { idx: string; body: string }[] = await own.knex('log_entry').orderBy('idx')
        const head: { size: string } = await own.knex('log_head').first('size')
        expect(rows.map((row) => Number(row.idx))).toEqual(rows.map((_, n) => n))
        expect(Number(head.size)).toBe(rows.length)
        return rows.map((row) => JSON.parse(row.body).requestId)
      },
    })
  } finally {
    proxy.stop()
    await Promise.all([direct.stop(), proxied.stop(), own.close()])
    await database.drop()
  }
}

describe.concurrent('a lost answer', () => {
  it('of a committed batch is looked up', () =>
    use(async ({ proxied, proxy, entries }) => {
      await note(proxied, 'before')
      const loss = onceAt(proxy, 'S', 'select log_append', false, 'lose')
      const appended = await Promise.all(['a', 'b', 'c'].map((id) => note(proxied, id)))
      await loss
      expect(await entries()).toEqual(['before', 'a', 'b', 'c'])
      expect(appended.map(({ index }) => index)).toEqual([1, 2, 3])
    }))

  it('of a batch that arrives after its timeout is appended once', () =>
    use(async ({ proxied, proxy, entries }) => {
      await note(proxied, 'before')
      const loss = onceAt(proxy, 'P', 'select log_append', false, 'late')
      const { index } = await note(proxied, 'once')
      await loss
      await pause(800)
      expect(await entries()).toEqual(['before', 'once'])
      expect(index).toBe(1)
    }))

  it('of a change is looked up, however long Postgres is unreachable meanwhile', () =>
    use(async ({ proxied, proxy, entries }) => {
      await change(proxied, 'before')
      const loss = onceAt(proxy, 'S', 'COMMIT', true, 'lose')
      const changed = change(proxied, 'changed')
      await loss
      proxy.cut()
      setTimeout(() => proxy.mend(), 1_500)
      expect((await changed).index).toBe(1)
      expect(await entries()).toEqual(['before', 'changed'])
    }))

  it('of a change that was not committed: the change runs again', () =>
    use(async ({ proxied, proxy, entries }) => {
      await change(proxied, 'before')
      const loss = onceAt(proxy, 'S', 'select log_append', true, 'lose')
      const changed = change(proxied, 'changed')
      await loss
      expect((await changed).index).toBe(1)
      expect(await entries()).toEqual(['before', 'changed'])
    }))

  it.each([
    ['a batch', false, note],
    ['a change', true, change],
  ] as const)('of %s delays no other request', (_, inTransaction, append) =>
    use(async ({ direct, proxied, proxy, entries }) => {
      await append(proxied, 'before')
      const stalled = onceAt(proxy, 'S', 'select log_append', inTransaction, 'stall')
      const reply = append(proxied, 'lost').catch((error: unknown) => error)
      await stalled
      expect((await note(direct, 'other')).index).toBe(1)
      expect((await change(direct, 'another')).index).toBe(2)
      proxy.mend()
      const outcome = await reply
      await pause(500)
      const lostEntries = outcome instanceof Error ? [] : ['lost']
      expect(await entries()).toEqual(['before', 'other', 'another', ...lostEntries])
    }),
  )

  it('that stays lost ends in a refusal, and the replica recovers with Postgres', () =>
    use(async ({ proxied, proxy, entries }) => {
      await note(proxied, 'before')
      proxy.cut()
      const refused = await Promise.all(
        [note, change].map((append) => append(proxied, 'cut off').catch((error: unknown) => error)),
      )
      expect(refused).toEqual([
        expect.objectContaining({ code: 'log_unavailable' }),
        expect.objectContaining({ code: 'log_unavailable' }),
      ])
      proxy.mend()
      await note(proxied, 'after')
      await change(proxied, 'after too')
      expect((await entries()).filter((id) => id !== 'cut off')).toEqual(['before', 'after', 'after too'])
    }))

  it('without room in the log ends in a refusal, and the replica recovers with the room', () =>
    use(async ({ direct, full, entries }) => {
      const free = await full()
      for (const append of [note, change])
        await expect(append(direct, 'no room')).rejects.toMatchObject({ code: 'log_unavailable' })
      await free()
      await note(direct, 'room')
      await change(direct, 'and more')
      expect(await entries()).toEqual(['room', 'and more'])
    }))
})
