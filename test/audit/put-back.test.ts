import { writeFile } from 'node:fs/promises'
import { type RequestOptions, request } from 'node:https'
import { join } from 'node:path'
import { generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { openCheckpoint, verifyExport, verifyReceipt } from '@purser/sdk/verify'
import { decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NewEpoch } from '../../src/start/new-epoch.ts'
import { openOffline } from '../../src/start/open-offline.ts'
import { beginEpoch } from '../support/begin-epoch.ts'
import { createIssuer, type Issuer, registerLab } from '../support/issuer.ts'
import { openssl, scratch } from '../support/openssl.ts'
import { createPlace } from '../support/place.ts'
import type { Answer, TestPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

async function attest(purser: TestPurser, issuer: Issuer): Promise<Answer> {
  const proof = { kind: 'jwt', token: await issuer.token() }
  const x509 = { csr: createCsr(privateKey) }
  return purser.call('POST', '/api/v1/credentials', {
    proof,
    x509,
    jwts: [{ audience: ['payments'] }],
    accessToken: {},
  })
}

type Credentials = {
  x509: { certificateChain: string; trustBundle: string }
  jwts: { token: string }[]
  accessToken: { token: string }
  receipt: { epoch: number; index: number }
}
const credentialsOf = (answer: Answer): Credentials => {
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.body as unknown as Credentials
}

describe.each(frontDoorStores)('a restored database (%s)', (store) => {
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser
  let issuer: Issuer
  let admin: string
  let vkeys: string[]
  let before: Credentials
  let after: Credentials
  let epoch: NewEpoch

  beforeAll(async () => {
    place = await createPlace(store)
    issuer = await createIssuer()
    purser = await place.start()
    ;({ admin, vkeys } = purser)
    await registerLab(purser, issuer)
    before = credentialsOf(await attest(purser, issuer))
    await purser.stop()
    const putBack = await place.keep()

    purser = await place.start(admin)
    after = credentialsOf(await attest(purser, issuer))
    await purser.stop()
    await putBack()
  })
  afterAll(async () => {
    await purser.stop()
    await place.remove()
  })

  it('is detected at the start: nothing is issued, signed or recorded, and the log states the remedy', async () => {
    purser = await place.start(admin)
    expect((await attest(purser, issuer)).body).toMatchObject({ status: 503, code: 'issuing_closed' })
    expect((await purser.call('POST', '/api/v1/workloads', {}, { token: admin })).status).toBe(503)
    expect((await purser.call('GET', '/log/1/checkpoint')).body.code).toBe('issuing_closed')
    expect((await purser.call('POST', '/api/v1/log:open', undefined, { token: admin })).body.code).toBe(
      'issuing_closed',
    )
    const ready = await purser.call('GET', '/readyz')
    expect([ready.status, ready.body.checks]).toEqual([
      503,
      expect.arrayContaining([expect.objectContaining({ name: 'log', ok: false })]),
    ])
    expect((await purser.call('GET', '/healthz')).status).toBe(200)
    const line = purser.logs.find((log) => log.includes('"log.closed"'))
    expect(line).toContain('purser log new-epoch')
    expect(line).toContain('entries')
    await purser.stop()

    const offline = await openOffline(purser.config)
    // The last entry is older: the restart of the server is not recorded.
    const last = await offline.db.knex('log_entry').max({ idx: 'idx' }).first()
    expect(Number(last?.['idx'])).toBe(offline.head.size - 1)
    expect(offline.head.size).toBeLessThanOrEqual(after.receipt.index)
    await offline.db.close()
  })

  it('answers on TLS without a certificate of its CA, whose issuance could not be recorded', async () => {
    purser = await place.start(admin, {}, true)
    const ask = (options: RequestOptions): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const sentRequest = request(`${purser.url}/readyz`, options, (response) =>
          resolve(response.resume().statusCode),
        )
        sentRequest.once('error', reject).end()
      })
    await expect(ask({ ca: purser.roots })).rejects.toThrow(/certificate/)
    expect(await ask({ rejectUnauthorized: false })).toBe(503)
    await purser.stop()
  })

  it('rejects a new epoch while a server runs', async () => {
    purser = await place.start(admin)
    await expect(beginEpoch(purser.config, place.dataDir, 'restored')).rejects.toThrow(
      store === 'embedded' ? /has this data directory open/ : /stop every replica/,
    )
    await purser.stop()
  })

  it('continues in a new epoch that names both heads, after a review', async () => {
    epoch = await beginEpoch(purser.config, place.dataDir, 'restored from the backup of 23:00')
    expect(epoch.previous.known?.size).toBeGreaterThan(epoch.previous.size)
    purser = await place.start(admin)
    expect((await attest(purser, issuer)).body.code).toBe('issuing_closed')
    expect((await purser.call('GET', '/readyz')).body.checks).toContainEqual({ name: 'issuing', ok: false })
    expect((await purser.call('GET', '/api/v1/audit/entries', undefined, { token: admin })).status).toBe(401)
    await purser.stop()

    await writeFile(join(place.dataDir, 'bootstrap-token'), epoch.bootstrapToken)
    purser = await place.start()
    ;({ admin } = purser)
    const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?order=asc&limit=1')
    expect(body.items).toMatchObject([
      {
        epoch: 2,
        index: 0,
        entry: {
          action: 'log.epoch',
          actor: { note: 'restored from the backup of 23:00' },
          detail: {
            previous: {
              epoch: 1,
              database: { size: epoch.previous.size },
              known: { size: epoch.previous.known?.size },
            },
          },
        },
      },
    ])
    const unexplained = await purser.call('POST', '/api/v1/log:open', undefined, { token: admin })
    expect([unexplained.status, unexplained.body.code]).toEqual([400, 'invalid_request'])
    await purser.asAdmin('POST', '/api/v1/log:open', undefined, { 'purser-reason': 'nothing was revoked that night' })
    expect(
      (await purser.call('POST', '/api/v1/log:open', undefined, { token: admin, headers: { 'purser-reason': 'x' } }))
        .status,
    ).toBe(409)
    expect(credentialsOf(await attest(purser, issuer)).receipt.epoch).toBe(2)
    expect((await purser.call('GET', '/readyz')).status).toBe(200)
  })

  it('refuses credentials of the lost time, and those from before', async () => {
    const now = credentialsOf(await attest(purser, issuer))
    const { body: jwks } = await purser.call('GET', '/keys')
    const kids = (jwks.keys as { kid: string }[]).map((key) => key.kid)
    const roots = (await purser.call('GET', '/ca.pem')).text
    for (const old of [before, after]) {
      const self = await purser.call('GET', '/api/v1/credentials/self', undefined, { token: old.accessToken.token })
      expect([self.status, self.body.code]).toEqual([401, 'unauthenticated'])
      for (const { token } of old.jwts) expect(kids).not.toContain(decodeProtectedHeader(token).kid)
      expect(opensslVerifies(old.x509.certificateChain, roots)).toBe(false)
    }
    for (const { token } of now.jwts) expect(kids).toContain(decodeProtectedHeader(token).kid)
    expect(opensslVerifies(now.x509.certificateChain, roots)).toBe(true)
  })

  it('keeps the older epoch readable: heads, tiles, receipts, and an export that states what was lost', async () => {
    expect(verifyReceipt(before.receipt, { vkeys }).epoch).toBe(1)
    const note = (await purser.call('GET', '/log/1/checkpoint')).text
    const head = openCheckpoint(note, vkeys)
    expect(head.size).toBe(epoch.previous.size)
    const tile = await fetch(`${purser.url}/log/1/tile/0/000.p/${head.size}`)
    expect((await tile.arrayBuffer()).byteLength).toBe(head.size * 32)
    const keys = (await purser.call('GET', '/log/keys')).body.keys as { vkey: string; epoch: number; to?: number }[]
    expect(keys.map((key) => [key.epoch, key.to])).toEqual([
      [1, head.size],
      [2, undefined],
    ])
    const { items } = (await purser.asAdmin('GET', '/api/v1/audit/entries?epoch=1&limit=200')).body
    expect(items).toHaveLength(head.size)

    const lines = (await purser.asAdmin('GET', '/api/v1/audit/export')).text.split('\n')
    const all = keys.map((key) => key.vkey)
    const report = await verifyExport(lines, { vkeys: all, receipts: [before.receipt] })
    expect(report.problems).toEqual([])
    expect(report.sections.map((section) => section.epoch)).toEqual([1, 2])
    expect(report.notExcluded.join('\n')).toContain('because they were lost, and says so')
    const withLost = await verifyExport(lines, { vkeys: all, receipts: [after.receipt] })
    expect(withLost.problems).toMatchObject([{ code: 'tail_cut', epoch: 1, index: head.size }])
  })
})

function opensslVerifies(chain: string, roots: string): boolean {
  const file = scratch()
  const [leaf = '', ...above] = chain.split(/(?<=-----END CERTIFICATE-----\n)/)
  const anchors = ['-CAfile', file('roots.pem', roots), '-untrusted', file('above.pem', above.join(''))]
  return openssl(['verify', '-x509_strict', ...anchors, file('leaf.pem', leaf)]).ok
}
