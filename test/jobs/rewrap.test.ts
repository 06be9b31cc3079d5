/**
 * The rewrapping of values under the newest key, in the background: during reads, writes and destructions, on many
 * replicas, and after faults.
 */
import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { keyringRotation } from '../../src/jobs/keyring-rotation.ts'
import { openRootKey } from '../../src/keys/root-key.ts'
import type { Snapshot } from '../../src/store/snapshot.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

let running: TestPurser[] = []
afterEach(async () => {
  for (const purser of running.toReversed()) await purser.stop()
  running = []
})

async function started(server: Promise<TestPurser>): Promise<TestPurser> {
  const purser = await server
  running.push(purser)
  return purser
}

const put = (purser: TestPurser, path: string, data: object, version: number) =>
  purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data }, { 'if-match': `"${version}"` })
const get = (purser: TestPurser, path: string, version?: number) =>
  purser.asAdmin('GET', `/api/v1/secrets/${path}${version ? `?version=${version}` : ''}`, undefined, {
    'purser-reason': 'test',
  })
const rotate = async (purser: TestPurser): Promise<string> => {
  const { body } = await purser.asAdmin('POST', '/api/v1/keys/keyring:rotate', {})
  return (body['created'] as { id: string }[])[0]?.id ?? ''
}
type Row = { secret_id: string; version: number; wrapping_key_id: string | null; data_key: Buffer; ciphertext: Buffer }
const versionsOf = (purser: TestPurser): Promise<Row[]> =>
  purser.knex('secret_version').orderBy('secret_id').orderBy('version')
const keyring = async (purser: TestPurser) =>
  ((await purser.asAdmin('GET', '/api/v1/keys')).body['items'] as Record<string, unknown>[])
    .filter((line) => line['kind'] === 'keyring')
    .map((line) => [line['id'], line['state'], line['values']])
const rewraps = async (purser: TestPurser) => (await readLog(purser)).filter((entry) => entry.action === 'key.rewrap')
const valuesLeft = async (purser: TestPurser): Promise<unknown> =>
  (await purser.metrics()).find((metric) => metric.name === 'purser_keyring_values_left')?.values[0]?.value

describe.each(frontDoorStores)('on %s', (store) => {
  it('changes only data keys: values and revisions stay, and earlier reads still open', async () => {
    const purser = await started(startPurser({ store }))
    for (let n = 0; n < 5; n++) await put(purser, `prod/s${n}`, { n }, 0)
    await put(purser, 'prod/s0', { n: 'second' }, 1)
    await purser.asAdmin('POST', '/api/v1/secrets/prod/s4:destroy', { versions: [1] })
    const before = await versionsOf(purser)
    const revisions = await purser.knex('secret').select('id', 'revision', 'changed').orderBy('id')
    const [[first]] = (await keyring(purser)) as [[string]]

    const id = await rotate(purser)
    expect(await keyring(purser)).toEqual(
      expect.arrayContaining([
        [first, 'retiring', 5],
        [id, 'active', 0],
      ]),
    )
    expect((await rewraps(purser)).at(-1)).toMatchObject({ outcome: 'granted', change: { after: { valuesLeft: 5 } } })
    await purser.runJobs()

    const after = await versionsOf(purser)
    expect(after.map((row) => row.wrapping_key_id)).toEqual(
      before.map((row) => (row.wrapping_key_id === null ? null : id)),
    )
    expect(after.map((row) => row.ciphertext)).toEqual(before.map((row) => row.ciphertext))
    const dataKeys = before.filter((row) => row.data_key !== null).map((row) => row.data_key.toString('hex'))
    for (const row of after) expect(dataKeys).not.toContain(row.data_key?.toString('hex'))
    expect(await purser.knex('secret').select('id', 'revision', 'changed').orderBy('id')).toEqual(revisions)
    expect(await keyring(purser)).toEqual([[id, 'active', 5]])
    expect(await valuesLeft(purser)).toBe(0)
    expect((await get(purser, 'prod/s0', 1)).body['data']).toEqual({ n: 0 })
    expect((await get(purser, 'prod/s0')).body['data']).toEqual({ n: 'second' })

    await purser.runJobs()
    expect((await rewraps(purser)).map((entry) => [entry.outcome, entry.actor.kind, entry.detail])).toEqual([
      ['granted', 'operator', undefined],
      ['completed', 'system', { values: 5 }],
    ])
  })

  it('a data key in the wrong row does not open: the others continue, one error is logged, and the job never completes', async () => {
    const purser = await started(startPurser({ store }))
    for (let n = 0; n < 3; n++) await put(purser, `prod/s${n}`, { n }, 0)
    const rows = await versionsOf(purser)
    const [first, second] = rows
    if (!first || !second) throw new Error('no rows')
    await purser.knex('secret_version').where({ secret_id: first.secret_id }).update({ data_key: second.data_key })
    const id = await rotate(purser)
    await purser.runJobs()
    await purser.runJobs()
    expect((await versionsOf(purser)).filter((row) => row.wrapping_key_id === id)).toHaveLength(2)
    expect(await valuesLeft(purser)).toBe(1)
    expect((await rewraps(purser)).map((entry) => entry.outcome)).toEqual(['granted'])
    expect(purser.logs.filter((line) => line.includes('key.rewrap_failed'))).toHaveLength(1)

    await purser.knex('secret_version').where({ secret_id: first.secret_id }).update({ data_key: first.data_key })
    await purser.runJobs()
    expect((await rewraps(purser)).at(-1)).toMatchObject({ outcome: 'completed', detail: { values: 3 } })
  })

  it('processes more rows than one page has, during writes and destructions', async () => {
    const purser = await started(startPurser({ store }))
    await put(purser, 'prod/many', { n: 0 }, 0)
    await purser.asAdmin('PUT', '/api/v1/secrets/prod/many:metadata', { maxVersions: 2 }, { 'if-match': '"1"' })
    const [model] = await versionsOf(purser)
    if (!model) throw new Error('no row')
    // Rows without values, because only their number matters.
    const filler = Array.from({ length: 450 }, (_, n) => ({ ...model, version: 1000 + n, staged: true }))
    await put(purser, 'prod/other', { keep: 'me' }, 0)
    await purser.knex.batchInsert('secret_version', filler, 200)
    const id = await rotate(purser)
    const stop = new AbortController()
    const writer = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        const { version } = (await purser.asAdmin('GET', '/api/v1/secrets/prod/other:metadata')).body
        await put(purser, 'prod/other', { n }, Number(version))
        await purser.asAdmin('POST', '/api/v1/secrets/prod/other:destroy', { versions: [Number(version)] })
      }
    })()
    for (let n = 0; n < 5; n++) await purser.runJobs()
    stop.abort()
    await writer
    // The filler was copied to rows that its data key is not bound to.
    const remaining = (await versionsOf(purser)).filter(
      (row) => row.wrapping_key_id !== null && row.wrapping_key_id !== id,
    )
    expect(remaining.map((row) => row.version)).toEqual(filler.map((row) => row.version))
    expect((await get(purser, 'prod/other')).status).toBe(200)
    expect((await get(purser, 'prod/many')).body['data']).toEqual({ n: 0 })
  })

  it('a wrapping key that was used often enough is replaced by the next, once', async () => {
    const purser = await started(startPurser({ store }))
    const { rootKey: source } = purser.config
    if (source.kind !== 'value') throw new Error('no root key')
    const rootKey = openRootKey({ kind: 'value', value: source.value.reveal() })
    const [[first]] = (await keyring(purser)) as [[string]]
    const head: { instance_id: string } = await purser.knex('log_head').first('instance_id')
    const due = keyringRotation({
      db: purser,
      rootKey,
      keyring: { currentId: first },
      maxUses: 3,
      now: () => new Date(),
      randomBytes,
      log: { info: () => undefined, warn: () => undefined },
      snapshots: { current: () => ({ instanceId: head.instance_id }) as Snapshot },
      // The contents of the entry belong to the recorder, and are tested there.
      recorder: {
        change: (_, run) =>
          purser.knex.transaction(async (tx) => {
            const { result } = await run(tx, {} as Snapshot)
            return { result, epoch: 1, index: 0, receipt: () => Promise.reject(new Error('none')) }
          }),
      },
    })
    const count = async () => (await purser.knex('keyring_key')).length
    await put(purser, 'prod/a', { n: 0 }, 0)
    await put(purser, 'prod/a', { n: 1 }, 1)
    await due.run()
    expect(await count()).toBe(1)
    await put(purser, 'prod/a', { n: 2 }, 2)
    // Destroyed versions count as wrapped.
    await purser.asAdmin('POST', '/api/v1/secrets/prod/a:destroy', { versions: [1, 2] })
    await due.run()
    await due.run()
    expect(await count()).toBe(2)
  })
})

describe('three replicas', () => {
  it('rewrap concurrently; one that does not know the new key yet reads and changes what is under it', async () => {
    const first = await started(startPurser({ store: 'postgres' }))
    const second = await started(startReplica(first))
    const third = await started(startReplica(first))
    for (let n = 0; n < 20; n++) await put(first, `prod/s${n}`, { n }, 0)
    for (let round = 0; round < 3; round++) {
      const id = await rotate(first)
      const jobs = Promise.all([first.runJobs(), second.runJobs()])
      for (let n = 0; n < 20; n++) expect((await get(third, `prod/s${n}`)).body['data']).toMatchObject({ n })
      const live = (await first.asAdmin('GET', '/api/v1/secrets/prod/s0:metadata')).body
      await third.asAdmin(
        'PATCH',
        '/api/v1/secrets/prod/s0',
        { data: { round } },
        { 'if-match': `"${String(live['version'])}"` },
      )
      await jobs
      await expect
        .poll(async () => {
          await Promise.all(running.map((purser) => purser.runJobs()))
          return keyring(first)
        })
        .toEqual([[id, 'active', 20 + round + 1]])
    }
    expect((await rewraps(first)).map((entry) => entry.outcome)).toEqual(
      [0, 1, 2].flatMap(() => ['granted', 'completed']),
    )
    expect((await get(third, 'prod/s0')).body['data']).toEqual({ n: 0, round: 2 })
  })
})
