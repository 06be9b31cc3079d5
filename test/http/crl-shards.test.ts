/** Shards of CRLs, entity tags, and the CRLs of one key at two replicas. */
import { X509Certificate } from 'node:crypto'
import { readCrl } from '@purser/sdk/checks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type IssuedCredentials, type Lab, createLab } from '../support/lab.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { type Ask, createAsk } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

const base = 'https://purser.example.org'
const shardOf = (serialNumber: string): number => Number.parseInt(serialNumber.slice(-2), 16) % 64

describe('GET /crl/{keyId}/{shard}', () => {
  const clock = createClock()
  /** With the first revocation, new certificates name a shard. */
  const env = { PURSER_CRL_SHARD_ABOVE: '0' }
  let purser: TestPurser
  let ask: Ask
  let lab: Lab
  let before: IssuedCredentials
  let keyId: string
  let rootId: string

  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', now: clock.now, env })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
    before = await lab.get()
    const { items } = (await ask('listKeys', { query: { limit: '200' } })).body as { items: Record<string, string>[] }
    keyId = items.find(({ kind }) => kind === 'issuing-ca')?.id ?? ''
    rootId = items.find(({ kind }) => kind === 'root-ca')?.id ?? ''
    await revoke(await lab.get())
  })
  afterAll(() => purser.stop())

  const revoke = ({ serialNumber }: IssuedCredentials) => ask('createRevocation', { body: { serialNumber } })
  const fetchCrl = (path: string, tag?: string, at = purser): Promise<Response> =>
    fetch(`${at.url}/crl/${path}`, { headers: tag === undefined ? {} : { 'if-none-match': tag } })
  async function derOf(path: string, at = purser): Promise<Buffer> {
    const response = await fetchCrl(path, undefined, at)
    expect(response.status).toBe(200)
    return Buffer.from(await response.arrayBuffer())
  }
  const tagOf = async (path: string, at = purser): Promise<string> =>
    (await fetchCrl(path, undefined, at)).headers.get('etag') ?? ''
  const read = async (path: string, at = purser) =>
    readCrl(await derOf(path, at), new X509Certificate(before.issuing), `${base}/crl/${path}`)
  const pathOf = ({ serialNumber }: IssuedCredentials): string => `${keyId}/${shardOf(serialNumber)}`
  const isListed = async (path: string, { serialNumber }: IssuedCredentials): Promise<boolean> =>
    (await read(path)).serials.has(serialNumber.replace(/^0+/, ''))

  async function verify(issued: IssuedCredentials, crl: Buffer): Promise<string> {
    const file = scratch()
    const pem = opensslOutput(['crl', '-inform', 'DER', '-in', file('crl.der', crl)])
    const roots = ['-CAfile', file('roots.pem', issued.roots), '-untrusted', file('issuing.pem', issued.issuing)]
    const check = ['-x509_strict', '-crl_check', '-attime', String(clock.seconds())]
    const args = ['verify', ...check, ...roots, '-CRLfile', file('crl.pem', pem), file('leaf.pem', issued.leaf)]
    return openssl(args).output
  }
  const pointOf = (issued: IssuedCredentials): string =>
    /URI:(\S+)/.exec(opensslOutput(['x509', '-noout', '-ext', 'crlDistributionPoints'], issued.leaf))?.[1] ?? ''

  it.each(['64', '-1', '1.5', '05', '0x1', 'x', '999999999999'])('does not exist for %s', async (shard) => {
    expect([400, 404]).toContain((await fetchCrl(`${keyId}/${shard}`)).status)
  })

  it('does not exist for a root, a key of another kind and no key', async () => {
    for (const id of [rootId, 'nobody']) expect((await fetchCrl(`${id}/1`)).status).toBe(404)
  })

  it('is named by certificates from the configured number of revoked ones on, by the last byte of the serial number', async () => {
    expect(pointOf(before)).toBe(`${base}/crl/${keyId}`)
    for (let n = 0; n < 5; n++) {
      const issued = await lab.get()
      expect(pointOf(issued)).toBe(`${base}/crl/${pathOf(issued)}`)
    }
  })

  it('and the whole CRL list a revoked certificate, and no other shard does', async () => {
    const [revoked, other] = [await lab.get(), await lab.get()]
    await revoke(revoked)
    for (const path of [pathOf(revoked), keyId]) {
      expect(await isListed(path, revoked)).toBe(true)
      expect(await isListed(path, other)).toBe(false)
    }
    expect(await isListed(`${keyId}/${(shardOf(revoked.serialNumber) + 1) % 64}`, revoked)).toBe(false)
  })

  it('is not used for certificates that were issued before, which name the whole CRL', async () => {
    expect(await verify(before, await derOf(keyId))).toContain('OK')
    await revoke(before)
    expect(await verify(before, await derOf(keyId))).toContain('certificate revoked')
  })

  it('satisfies OpenSSL for certificates that name it, and for no others', async () => {
    const issued = await lab.get()
    const shard = shardOf(issued.serialNumber)
    expect(await verify(issued, await derOf(`${keyId}/${shard}`))).toContain('OK')
    expect(await verify(issued, await derOf(keyId))).toContain('OK')
    expect(await verify(issued, await derOf(`${keyId}/${(shard + 1) % 64}`))).toContain('different CRL scope')
    expect(await verify(before, await derOf(`${keyId}/${shardOf(before.serialNumber)}`))).toContain(
      'different CRL scope',
    )
    await revoke(issued)
    expect(await verify(issued, await derOf(`${keyId}/${shard}`))).toContain('certificate revoked')
    expect(await verify(issued, await derOf(keyId))).toContain('certificate revoked')
  })

  it('is not sent again to a client that has it, until it lists more or a new one is due', async () => {
    const issued = await lab.get()
    const path = pathOf(issued)
    const tag = await tagOf(path)
    expect(tag).toMatch(/^W\/"[0-9-]+"$/)
    for (const copies of [tag, tag.slice(2), `"other", ${tag}`, '*']) {
      const response = await fetchCrl(path, copies)
      expect([response.status, await response.text()]).toEqual([304, ''])
      expect(response.headers.get('etag')).toBe(tag)
      expect(response.headers.get('cache-control')).toBe('public, max-age=60')
      expect([response.headers.get('content-length'), response.headers.get('content-type')]).toEqual([null, null])
    }
    for (const copies of ['"other"', tag.slice(0, -1), '']) expect((await fetchCrl(path, copies)).status).toBe(200)

    const elsewhere = await other(shardOf(issued.serialNumber))
    await revoke(elsewhere)
    expect((await fetchCrl(path, tag)).status).toBe(304)
    await revoke(issued)
    const next = await fetchCrl(path, tag)
    expect([next.status, next.headers.get('etag') === tag]).toEqual([200, false])
    const latest = await tagOf(path)
    clock.advance(301)
    expect((await fetchCrl(path, latest)).status).toBe(200)
  })

  /** A certificate of another shard. */
  async function other(shard: number): Promise<IssuedCredentials> {
    const issued = await lab.get()
    return shardOf(issued.serialNumber) === shard ? other(shard) : issued
  }

  it('has the headers of GET for HEAD', async () => {
    const response = await fetch(`${purser.url}/crl/${keyId}/0`, { method: 'HEAD' })
    expect([response.status, response.headers.get('etag')]).toEqual([200, await tagOf(`${keyId}/0`)])
  })

  it('stays the same after other changes of policy', async () => {
    const before = await derOf(`${keyId}/0`)
    await ask('rotateKey', { name: 'jwt' })
    expect((await derOf(`${keyId}/0`)).equals(before)).toBe(true)
  })

  it('of another replica has the same tag and entries, and never a lower number after a revocation', async () => {
    const second = await startReplica(purser, { now: clock.now, env })
    try {
      const issued = await lab.get()
      await revoke(issued)
      for (const path of [keyId, pathOf(issued)]) {
        const first = await read(path)
        await expect.poll(async () => (await read(path, second)).serials).toEqual(first.serials)
        const replicaCrl = await read(path, second)
        expect(await tagOf(path, second)).toBe(await tagOf(path))
        expect([replicaCrl.thisUpdate, replicaCrl.nextUpdate]).toEqual([first.thisUpdate, first.nextUpdate])
      }
      const { number } = await read(keyId, second)
      await revoke(await lab.get())
      expect((await read(keyId)).number).toBeGreaterThan(number)
    } finally {
      await second.stop()
    }
  })

  it('is complete and has a higher number after a restart', async () => {
    const before = await read(keyId)
    clock.advance(301)
    const restarted = await startReplica(purser, { now: clock.now, env })
    try {
      const after = await read(keyId, restarted)
      expect(after.serials).toEqual(before.serials)
      expect(after.number).toBeGreaterThan(before.number)
    } finally {
      await restarted.stop()
    }
  })
})
