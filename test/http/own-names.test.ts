/** Names that the configuration reserves for Purser after an entry was written, which granted them then. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entryOf, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, audience, startPurser, startReplica } from '../support/purser.ts'
import { attest, newRequest, renew } from '../support/svid.ts'

let before: TestPurser
let after: TestPurser
let issuer: Issuer

beforeAll(async () => {
  before = await startPurser({ store: 'postgres', tls: true })
  issuer = await createIssuer()
  await registerLab(before, issuer)
  const env = { PURSER_TLS_NAMES: '127.0.0.1,web.lab', PURSER_AUDIENCES: `${audience},payments` }
  after = await startReplica(before, { env, tls: true })
})
afterAll(async () => {
  await after?.stop()
  await before.stop()
})

const ask = async (request: object, at = after): Promise<Answer> =>
  at.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token: await issuer.token() }, ...request })
const csr = newRequest().csr

it('is in no certificate, even if a workload entry grants it', async () => {
  for (const request of [{ x509: { csr } }, { x509: { csr, dnsNames: ['web.lab'] } }]) {
    const answer = await ask(request)
    expect(fault(answer)).toBe('403 not_granted /x509/dnsNames')
    expect(await entryOf(after, answer)).toMatchObject({ outcome: 'refused', actor: { attestor: 'lab' } })
  }
  expect(fault(await ask({ x509: { csr, dnsNames: [] } }))).toBe('200 ')
})

it('is the audience of no JWT', async () => {
  expect(fault(await ask({ jwts: [{ audience: ['cloud'] }, { audience: ['payments'] }] }))).toBe(
    '403 not_granted /jwts/1/audience/0',
  )
  expect(fault(await ask({ jwts: [{ audience: ['cloud'] }] }))).toBe('200 ')
})

it('cannot be renewed by a holder of an earlier certificate', async () => {
  const svid = await attest(before, issuer)
  expect(fault(await renew(after, svid, { x509: { csr } }))).toBe('403 not_granted /x509/dnsNames')
  expect(fault(await renew(after, svid, { jwts: [{ audience: ['payments'] }] }))).toBe(
    '403 not_granted /jwts/0/audience/0',
  )
  expect(fault(await renew(after, svid, { x509: { csr, dnsNames: [] } }))).toBe('200 ')
})
