/** A writer of the database moves ciphertexts: a value decrypts only in the row that it was sealed for. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

type Row = { secret_id: string; version: number; ciphertext: Buffer; data_key: Buffer; wrapping_key_id: string }
type Rows = { old: Row; live: Row; other: Row }

let purser: TestPurser
let count = 0
beforeAll(async () => {
  purser = await startPurser({ store: 'postgres' })
})
afterAll(() => purser.stop())

const put = (path: string, value: string, version: number) =>
  purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { value } }, { 'if-match': `"${version}"` })
const read = (path: string) =>
  purser.call('GET', `/api/v1/secrets/${path}`, undefined, {
    token: purser.admin,
    headers: { 'purser-reason': 'test' },
  })
const rowsOf = async (path: string): Promise<Row[]> =>
  purser
    .knex('secret_version as v')
    .join('secret as s', 's.id', 'v.secret_id')
    .where('s.path', path)
    .orderBy('v.version')
    .select('v.*')
const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at < 0 ? copy.length + at : at] = (copy.at(at) ?? 0) ^ 1
  return copy
}

/** Each replaces the live row before it is first read. */
it.each<[string, (rows: Rows) => Partial<Row>]>([
  ['the value of the version before', ({ old }) => ({ ciphertext: old.ciphertext, data_key: old.data_key })],
  ['its ciphertext alone', ({ old }) => ({ ciphertext: old.ciphertext })],
  ['its data key alone', ({ old }) => ({ data_key: old.data_key })],
  ['the value of another secret', ({ other }) => ({ ciphertext: other.ciphertext, data_key: other.data_key })],
  ['a tag of 12 bytes', ({ live }) => ({ ciphertext: live.ciphertext.subarray(0, -4) })],
  ['a tag of 4 bytes', ({ live }) => ({ ciphertext: live.ciphertext.subarray(0, -12) })],
  ['nothing but a format and a tag', ({ live }) => ({ ciphertext: live.ciphertext.subarray(0, 29) })],
  ['no bytes', () => ({ ciphertext: Buffer.alloc(0) })],
  ['another format', ({ live }) => ({ ciphertext: flipped(live.ciphertext, 0) })],
  ['another nonce', ({ live }) => ({ ciphertext: flipped(live.ciphertext, 1) })],
  ['a bit of the value', ({ live }) => ({ ciphertext: flipped(live.ciphertext, 13) })],
  ['a bit of the tag', ({ live }) => ({ ciphertext: flipped(live.ciphertext, -1) })],
  ['a bit of the data key', ({ live }) => ({ data_key: flipped(live.data_key, -1) })],
])('%s cannot be decrypted, and is recorded as a fault of the server', async (_, change) => {
  const path = `prod/row-${count++}`
  await put(path, 'hunter2-old', 0)
  await put(path, 'hunter2-live', 1)
  await put(`${path}-other`, 'hunter2-other', 0)
  const [old, live] = await rowsOf(path)
  const [other] = await rowsOf(`${path}-other`)
  if (!old || !live || !other) throw new Error('a row is missing')
  await purser
    .knex('secret_version')
    .where({ secret_id: live.secret_id, version: live.version })
    .update(change({ old, live, other }))
  const { status, text, headers } = await read(path)
  expect([status, text.includes('hunter2')]).toEqual([500, false])
  const requestId = headers.get('purser-request-id')
  expect((await readLog(purser)).find((entry) => entry.requestId === requestId)).toMatchObject({
    action: 'secret.read',
    outcome: 'failed',
  })
  // The rows beside it are read as before.
  expect((await read(`${path}-other`)).status).toBe(200)
})

it('a value from before its path was destroyed cannot be decrypted after the path was created again', async () => {
  const path = 'prod/anew'
  await put(path, 'hunter2-destroyed', 0)
  const [before] = await rowsOf(path)
  await purser.asAdmin('POST', `/api/v1/secrets/${path}:destroy`, { all: true })
  await put(path, 'hunter2-anew', 0)
  const anew = (await rowsOf(path)).at(-1)
  await purser
    .knex('secret_version')
    .where({ secret_id: anew?.secret_id })
    .update({ ciphertext: before?.ciphertext, data_key: before?.data_key })
  expect((await read(path)).status).toBe(500)
})

it('a version with the number of another cannot be decrypted', async () => {
  const path = 'prod/renumbered'
  await put(path, 'hunter2-first', 0)
  await put(path, 'hunter2-second', 1)
  const [{ secret_id: id } = { secret_id: '' }] = await rowsOf(path)
  for (const [from, to] of [
    [1, 9],
    [2, 1],
    [9, 2],
  ] as const)
    await purser.knex('secret_version').where({ secret_id: id, version: from }).update({ version: to })
  expect((await read(path)).status).toBe(500)
  expect((await read(`${path}?version=1`)).status).toBe(500)
})
