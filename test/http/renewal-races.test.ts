/**
 * A certificate is revoked while a renewal by it waits for the log: at every replica, no entry after the revocation's
 * index was decided without it, though the renewal was decided before (docs/architecture.md, Freshness).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inOrder } from '../support/head-lock.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entriesOf, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { type Svid, attest, newRequest, renew } from '../support/svid.ts'

let purser: TestPurser
let replica: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  const { database, rootKey } = purser.config
  if (database.kind !== 'postgres' || rootKey.kind !== 'value') throw new Error('no Postgres')
  const again = { url: database.url.reveal(), rootKey: rootKey.value.reveal(), admin: purser.admin }
  replica = await startPurser({ again, tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

const refusal = '401 attestation_failed'
const reasonOf = async (answer: Answer): Promise<unknown> =>
  (await entriesOf(purser, answer.headers.get('purser-request-id'))).map((entry) => entry.reason)

const wanted = [
  ['a JWT', () => ({ jwts: [{ audience: ['payments'] }] })],
  ['an access token', () => ({ accessToken: {} })],
  ['a certificate', () => ({ x509: { csr: newRequest().csr } })],
] as const

describe.each(wanted)('a renewal that asks for %s while its certificate', (_, more) => {
  const meanwhile = async (end: (client: Svid) => Promise<Answer>): Promise<[Answer, Answer]> => {
    const client = await attest(purser, issuer)
    return inOrder<[Answer, Answer]>(
      purser,
      () => end(client),
      () => renew(replica, client, more()),
    )
  }

  it('is revoked gets nothing', async () => {
    const [revoked, late] = await meanwhile(({ serialNumber }) =>
      purser.asAdmin('POST', '/api/v1/revocations', { serialNumber }),
    )
    expect(revoked.body.revoked).toMatchObject({ certificates: 1, sessions: 0 })
    expect(fault(late)).toBe(refusal)
    expect(await reasonOf(late)).toEqual(['session_ended'])
  })

  it('loses its issuing key gets nothing', async () => {
    const [, late] = await meanwhile(() =>
      purser.asAdmin('POST', '/api/v1/keys/ca:rotate', { compromised: true, level: 'issuing' }),
    )
    expect(fault(late)).toBe(refusal)
    expect(await reasonOf(late)).toEqual(['session_ended'])
  })

  it('has its entry disabled gets nothing', async () => {
    const [, late] = await meanwhile(() => purser.asAdmin('POST', '/api/v1/workloads/web:disable'))
    await purser.asAdmin('POST', '/api/v1/workloads/web:enable')
    expect(fault(late)).toBe(refusal)
  })

  it('stays valid succeeds, whatever else was changed', async () => {
    const other = await attest(purser, issuer)
    const [, late] = await meanwhile(() =>
      purser.asAdmin('POST', '/api/v1/revocations', { serialNumber: other.serialNumber }),
    )
    expect(fault(late)).toBe('200 ')
  })
})
