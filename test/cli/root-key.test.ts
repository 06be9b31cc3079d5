/**
 * `purser root-key rotate`: what it refuses, what opens the database afterwards, and that one of the two keys works
 * after a crash.
 */
import { chmodSync, chownSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateRootKey } from '../../src/keys/root-key.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { cli } from '../support/cli.ts'
import { waiters } from '../support/head-lock.ts'
import { createPlace } from '../support/place.ts'
import { spawnPurser } from '../support/process.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('root-key rotate (%s)', (store) => {
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser
  const [oldKey, newKey] = [() => place.env()['PURSER_ROOT_KEY'] ?? '', generateRootKey()]
  const newFile = (): string => join(place.dataDir, 'root-key.new')
  const run = (more: string[] = [], env: Record<string, string> = {}) =>
    cli(['root-key', 'rotate', '--new-key-file', newFile(), '--reason', 'somebody left', ...more], {
      env: { ...place.env(), ...env },
    })
  const startWith = (rootKey: string): Promise<TestPurser> => {
    const url = place.env()['DATABASE_URL']
    return startPurser({
      existing: { rootKey, dataDir: place.dataDir, admin: purser.admin, ...(url !== undefined && { url }) },
    })
  }
  const read = async (purser: TestPurser, path: string): Promise<unknown> =>
    (await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, { 'purser-reason': 'test' })).body['data']

  beforeAll(async () => {
    place = await createPlace(store)
    purser = await place.start()
    const put = (path: string, data: object) =>
      purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data }, { 'if-match': '"0"' })
    await put('prod/a', { a: 1 })
    await purser.asAdmin('POST', '/api/v1/keys/keyring:rotate', {})
    await put('prod/b', { b: 2 })
    writeFileSync(newFile(), `${newKey}\n`, { mode: 0o600 })
  })
  afterAll(() => place.remove())

  it('changes nothing beside a server, without a reason, or with a new key that others can read or that is malformed', async () => {
    const result = await run()
    expect([result.code === 0, result.out]).toEqual([false, ''])
    expect(result.err).toMatch(store === 'embedded' ? /has this data directory open/ : /stop every replica/)
    await purser.stop()
    expect((await cli(['root-key', 'rotate', '--new-key-file', newFile()], { env: place.env() })).code).toBe(2)
    chmodSync(newFile(), 0o644)
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining('chmod 600') })
    chmodSync(newFile(), 0o600)
    chownSync(newFile(), 12_345, 12_345)
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining("is another user's") })
    chownSync(newFile(), 0, 0)
    chmodSync(place.dataDir, 0o777)
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining('others can replace the root key') })
    chmodSync(place.dataDir, 0o700)
    const missing = await run(['--new-key-file', join(place.dataDir, 'none')])
    expect(missing.code).toBe(2)
    expect(existsSync(join(place.dataDir, 'none'))).toBe(false)
    const other = await run([], { PURSER_ROOT_KEY: generateRootKey() })
    expect(other).toMatchObject({ code: 2, err: expect.stringContaining('neither the configured key nor the new one') })
    const running = await startWith(oldKey())
    expect(await read(running, 'prod/a')).toEqual({ a: 1 })
    await running.stop()
  })

  if (store === 'postgres') {
    it('killed in the middle: the older key works as before', async () => {
      const { DATABASE_URL: url = '' } = place.env()
      const db = openPostgres({ url })
      const holder = await db.knex.transaction()
      await holder.raw('set local idle_in_transaction_session_timeout = 0')
      await holder('log_head').forUpdate().first()
      const { child, ended } = spawnPurser(
        ['root-key', 'rotate', '--new-key-file', newFile(), '--reason', 'x'],
        place.env(),
      )
      await expect.poll(() => waiters(db.knex), { interval: 10 }).toBe(1)
      child.kill('SIGKILL')
      await ended
      await holder.rollback()
      await db.close()
      const running = await startWith(oldKey())
      expect(await read(running, 'prod/a')).toEqual({ a: 1 })
      await running.stop()
    })
  }

  it('encrypts every wrapping key with the new key, records that in the log, and is safe to repeat', async () => {
    const { code, out, err } = await run()
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^root key local-\w+: encrypts 2 wrapping keys\n$/),
    })
    expect(err).toContain('on every replica')
    expect(out + err).not.toContain(newKey)
    const repeat = await run(['-o', 'json'])
    expect(JSON.parse(repeat.out)).toMatchObject({ rewrapped: 0 })

    await expect(startWith(oldKey())).rejects.toThrow(/after `purser root-key rotate` every replica needs the new one/)
    const running = await startWith(newKey)
    expect([await read(running, 'prod/a'), await read(running, 'prod/b')]).toEqual([{ a: 1 }, { b: 2 }])
    const { body } = await running.asAdmin('GET', '/api/v1/audit/entries?action=root-key.rotate')
    expect(body['items']).toMatchObject([
      {
        entry: { actor: { kind: 'system', note: 'somebody left' }, detail: { from: expect.stringMatching(/^local-/) } },
      },
    ])
    await running.asAdmin('POST', '/api/v1/keys/keyring:rotate', {})
    await running.runJobs()
    expect(await read(running, 'prod/a')).toEqual({ a: 1 })
    await running.stop()
  })

  it('doctor recognizes the earlier key', async () => {
    const { out } = await cli(['doctor'], { env: place.env() })
    expect(out).toMatch(/^FAIL +root key +it is the key from before `purser root-key rotate` \(\d{4}-/m)
    expect(out).toContain('set PURSER_ROOT_KEY_FILE to the new root key')
    const { out: good } = await cli(['doctor'], { env: { ...place.env(), PURSER_ROOT_KEY: newKey } })
    expect(good).toMatch(/^ok +root key +decrypts the keyring/m)
  })
})
