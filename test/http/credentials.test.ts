import { generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { verifyReceipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('POST /api/v1/credentials (%s)', (store) => {
  let purser: TestPurser
  let issuer: Issuer

  beforeAll(async () => {
    purser = await startPurser({ store })
    issuer = await createIssuer()
    await registerLab(purser, issuer)
  })
  afterAll(() => purser.stop())

  const ask = (body: Record<string, unknown>) => purser.call('POST', '/api/v1/credentials', body)

  it('answers a forged proof with attestation_failed and nothing else', async () => {
    const other = await createIssuer()
    const answer = await ask({ proof: { kind: 'jwt', token: await other.token() } })
    expect(answer.status).toBe(401)
    expect(Object.keys(answer.body).sort()).toEqual(['code', 'requestId', 'status', 'title', 'type'])
    expect(answer.body.code).toBe('attestation_failed')
  })

  it('issues certificate, JWT and access token with one receipt that verifies', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const answer = await ask({
      proof: { kind: 'jwt', token: await issuer.token() },
      x509: { csr: createCsr(privateKey) },
      jwts: [{ audience: ['payments'] }],
      accessToken: {},
    })
    expect(answer.text).toContain('BEGIN CERTIFICATE')
    expect(answer.status).toBe(200)
    const verified = verifyReceipt(answer.body.receipt, { vkeys: purser.vkeys })
    expect(answer.headers.get('purser-log-index')).toBe(`1/${verified.index}`)
  })

  it('proves consistency with a head of this epoch, and omits the proof for heads that the log never had', async () => {
    const hasConsistency = async (receipt: Record<string, unknown>): Promise<boolean> => {
      const answer = await ask({ proof: { kind: 'jwt', token: await issuer.token() }, receipt })
      expect(answer.status).toBe(200)
      return 'consistency' in (answer.body.receipt as object)
    }
    expect(await hasConsistency({ sinceSize: 1 })).toBe(true)
    expect(await hasConsistency({ epoch: 1, sinceSize: 1 })).toBe(true)
    expect(await hasConsistency({ epoch: 2, sinceSize: 1 })).toBe(false)
    expect(await hasConsistency({ sinceSize: 1_000_000 })).toBe(false)
  })

  it('issues nothing when one part is not granted', async () => {
    const answer = await ask({
      proof: { kind: 'jwt', token: await issuer.token() },
      x509: { generateKey: 'EC-P256' },
      jwts: [{ audience: ['nobody'] }],
    })
    expect(answer.status).toBe(403)
    expect(answer.text).not.toContain('BEGIN')
    expect(answer.body.errors).toEqual([{ pointer: '/jwts/0/audience/0', detail: 'this audience is not granted' }])
  })
})
