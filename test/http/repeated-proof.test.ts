/**
 * A single-use proof, presented again with the same key while the reply may be lost. An observer of the request can
 * do that too. So a repeat gets only the certificate, which is useless without the key; the key gets the rest over
 * mTLS. A request that is refused for a spent proof or certificate creates no database role.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { definitionFor, rolesAt } from '../support/leases.ts'
import { entryOf, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { newRequest, renew, selfOf, svidOf } from '../support/svid.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

const entry = { attestor: 'lab', match: { 'oidc:sub': 'job' }, spiffeId: 'spiffe://example.org/lab/job' }
const grants = {
  x509: {},
  jwt: { audiences: ['payments'] },
  secrets: [{ paths: ['lab/token'], actions: ['read'] }],
  databases: ['orders'],
}
/** The parts that do not depend on the certified key. */
const unbound = {
  jwts: [{ audience: ['payments'] }],
  secrets: ['lab/token'],
  databases: ['orders'],
  accessToken: {},
}
const unboundParts = Object.keys(unbound)

let target: TargetServer
let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  target = await startTarget()
  purser = await startPurser({ store: 'postgres', tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer, { singleUse: true })
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target))
  await purser.asAdmin('PUT', '/api/v1/secrets/lab/token', { data: { value: 'hunter2' } }, { 'if-match': '"0"' })
  await purser.asAdmin('POST', '/api/v1/workloads', { name: 'job', ...entry, grants })
  const agent = { name: 'agent', attestor: 'join', spiffeId: 'spiffe://example.org/join/agent', grants }
  await purser.asAdmin('POST', '/api/v1/workloads', agent)
})
afterAll(async () => {
  await purser?.stop()
  await target.stop()
})

type Proof = { kind: string; token: string }
const proofOf = {
  'a proof of an attestor with singleUse': async (): Promise<Proof> => ({
    kind: 'jwt',
    token: await issuer.token({ sub: 'job' }),
  }),
  'a join token': async (): Promise<Proof> => {
    const { body } = await purser.asAdmin('POST', '/api/v1/join-tokens', { workload: 'agent', lifetimeSeconds: 600 })
    return { kind: 'join-token', token: String(body.token) }
  },
}
const present = (proof: Proof, csr: string, more: object = unbound): Promise<Answer> =>
  purser.call('POST', '/api/v1/credentials', { proof, x509: { csr }, ...more })
const partsOf = ({ body }: Answer): string[] => unboundParts.filter((part) => part in body)
const statements = (): number => target.log().split('create role').length
/** Ages every claim by a minute. */
const aMinuteLater = () =>
  purser.knex('claim').update({ claimed_at: purser.knex.raw(`claimed_at - interval '61 seconds'`) })

describe.each(Object.entries(proofOf))('%s, repeated with the same key', (_, newProof) => {
  it('gets only the certificate, also in the log, and no role is created', async () => {
    const [proof, request] = [await newProof(), newRequest()]
    const first = await present(proof, request.csr)
    expect([fault(first), partsOf(first), first.body.repeated]).toEqual(['200 ', unboundParts, undefined])
    const [roles, executed] = [await rolesAt(target), statements()]

    const repeat = await present(proof, request.csr)
    expect([fault(repeat), partsOf(repeat), repeat.body.repeated]).toEqual(['200 ', [], true])
    expect(svidOf(repeat, request).session).toBe(svidOf(first, request).session)
    expect(Object.keys((await entryOf(purser, repeat))?.issued ?? {})).toEqual(['x509'])
    expect([await rolesAt(target), statements()]).toEqual([roles, executed])
  })

  it('allows the key to get the rest over mTLS', async () => {
    const [proof, request] = [await newProof(), newRequest()]
    await present(proof, request.csr)
    const mine = svidOf(await present(proof, request.csr), request)
    const rest = await renew(purser, mine, unbound)
    expect([fault(rest), partsOf(rest)]).toEqual(['200 ', unboundParts])
  })

  it('gets everything once among concurrent requests', async () => {
    const [proof, request] = [await newProof(), newRequest()]
    const { databases: __, ...withoutDatabases } = unbound
    const answers = await Promise.all(Array.from({ length: 12 }, () => present(proof, request.csr, withoutDatabases)))
    expect(new Set(answers.map(fault))).toEqual(new Set(['200 ']))
    expect(answers.filter((answer) => partsOf(answer).length > 0)).toHaveLength(1)
  })
})

describe('a request that is refused for a spent proof or certificate', () => {
  const nothingMade = async (attempt: () => Promise<Answer>): Promise<void> => {
    const before = { roles: await rolesAt(target), made: statements(), leases: await purser.knex('lease').count() }
    expect(fault(await attempt())).toBe('401 attestation_failed')
    await purser.runJobs()
    const after = { roles: await rolesAt(target), made: statements(), leases: await purser.knex('lease').count() }
    expect(after).toEqual(before)
  }

  it('leaves no role: a proof that was used with another key', async () => {
    const proof = await proofOf['a proof of an attestor with singleUse']()
    await present(proof, newRequest().csr, {})
    await nothingMade(() => present(proof, newRequest().csr))
  })

  it.each([
    ['presented for another key', async () => undefined],
    ['presented a minute later', aMinuteLater],
  ])('leaves no role: a certificate that was renewed, %s', async (_, wait) => {
    const request = newRequest()
    const svid = svidOf(await present(await proofOf['a join token'](), request.csr, {}), request)
    const next = newRequest()
    const renewed = svidOf(await renew(purser, svid, { x509: { csr: next.csr } }), next)
    await wait()
    await nothingMade(() => renew(purser, svid, { x509: { csr: newRequest().csr }, ...unbound }))
    expect((await selfOf(purser, renewed)).status).toBe(401)
  })

  it('leaves no role: a certificate that was spent a minute ago, without a request for a new one', async () => {
    const request = newRequest()
    const svid = svidOf(await present(await proofOf['a join token'](), request.csr, {}), request)
    await renew(purser, svid, { x509: { csr: newRequest().csr } })
    await aMinuteLater()
    await nothingMade(() => renew(purser, svid, unbound))
  })
})
