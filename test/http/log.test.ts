/**
 * The public view of the log: every tile of every size leads to the signed root, by a computation that shares no code
 * with it.
 */
import { createHash } from 'node:crypto'
import { openCheckpoint } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generous, issueMany } from '../support/log-traffic.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const sha256 = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest()

/** RFC 6962 section 2.1, word for word. */
function root(leaves: Buffer[]): Buffer {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return leaves[0] as Buffer
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return sha256(Buffer.from([1]), root(leaves.slice(0, k)), root(leaves.slice(k)))
}

describe.each(frontDoorStores)('the public log (%s)', (store) => {
  let purser: TestPurser

  beforeAll(async () => {
    purser = await startPurser({ store, env: generous })
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    await issueMany(purser, issuer, 520)
  })
  afterAll(() => purser.stop())

  const get = async (path: string): Promise<{ status: number; bytes: Buffer; headers: Headers }> => {
    const response = await fetch(`${purser.url}/log/${path}`)
    return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()), headers: response.headers }
  }
  const hashes = (bytes: Buffer): Buffer[] =>
    Array.from({ length: bytes.length / 32 }, (_, n) => bytes.subarray(n * 32, n * 32 + 32))

  it('has tiles whose hashes lead to the signed root', async () => {
    const head = openCheckpoint((await get('1/checkpoint')).bytes.toString(), purser.vkeys)
    const leaves: Buffer[] = []
    for (let n = 0; leaves.length < head.size; n++) {
      const width = Math.min(256, head.size - n * 256)
      const tile = await get(`1/tile/0/00${n}${width < 256 ? `.p/${width}` : ''}`)
      expect([tile.status, tile.bytes.length]).toEqual([200, width * 32])
      expect(tile.headers.get('cache-control')).toContain('immutable')
      leaves.push(...hashes(tile.bytes))
    }
    expect(root(leaves)).toEqual(head.root)
    const above = await get(`1/tile/1/000.p/${Math.floor(head.size / 256)}`)
    expect(hashes(above.bytes)).toEqual([root(leaves.slice(0, 256)), root(leaves.slice(256, 512))])

    const entries = await get('1/tile/entries/001')
    expect(entries.bytes.length).toBe(256 * 34)
    for (let n = 0; n < 256; n++) {
      expect(entries.bytes.readUInt16BE(n * 34)).toBe(32)
      const commitment = entries.bytes.subarray(n * 34 + 2, n * 34 + 34)
      expect(sha256(Buffer.from([0]), commitment)).toEqual(leaves[256 + n])
    }
  })

  it('has the partial tile of every earlier size', async () => {
    const full = (await get('1/tile/0/001')).bytes
    for (let width = 1; width < 256; width++) {
      const { status, bytes } = await get(`1/tile/0/001.p/${width}`)
      expect(status).toBe(200)
      expect(bytes.equals(full.subarray(0, width * 32))).toBe(true)
    }
  })

  it.each([
    '1/tile/0/002',
    '1/tile/0/009',
    '1/tile/0/000.p/0',
    '1/tile/0/000.p/256',
    '1/tile/0/0',
    '1/tile/0/x000/000',
    '1/tile/2/000.p/1',
    '1/tile/64/000',
    '1/tile/entries/002',
    '1/tile/entries/x001/x000/000',
    '2/checkpoint',
    '2/tile/0/000',
    '0/checkpoint',
    '01/checkpoint',
    'x/checkpoint',
  ])('has no %s', async (path) => {
    const { status } = await get(path)
    expect(status === 404 || status === 400).toBe(true)
  })

  it('signs with the keys that it lists', async () => {
    const keys = (await purser.call('GET', '/log/keys')).body.keys
    expect(keys).toEqual([{ vkey: purser.vkeys[0], epoch: 1, from: 0 }])
    const server = (await purser.call('GET', '/api/v1/server')).body
    expect([server.logKeys, server.epoch]).toEqual([purser.vkeys, 1])
  })
})
