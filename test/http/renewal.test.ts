/**
 * A live certificate renews its session (docs/architecture.md, Renewal), on two replicas of one Postgres, over real mTLS:
 * each serial number renews once, and evidence of a copied key ends the session.
 */
import { Agent } from 'node:https'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entriesOf, fault, readLog } from '../support/operator.ts'
import type { LogEntry } from '../../src/audit/entry.ts'
import { type Answer, type CallOptions, type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Svid, attest as attestAt, newRequest, renew as renewAt, selfOf, svidOf } from '../support/svid.ts'

let purser: TestPurser
let replica: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  replica = await startReplica(purser, { tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

const attest = (token?: string): Promise<Svid> => attestAt(purser, issuer, token)

const renew = (
  client: Svid,
  more: Record<string, unknown>,
  { at = purser, ...options }: CallOptions & { at?: TestPurser } = {},
): Promise<Answer> => renewAt(at, client, more, options)

async function renewed(client: Svid, at?: TestPurser): Promise<Svid> {
  const request = newRequest()
  return svidOf(await renew(client, { x509: { csr: request.csr } }, { ...(at && { at }) }), request)
}

const self = async (client: Svid): Promise<number> => (await selfOf(purser, client)).status

/** Ages every spent serial number by a minute. */
const aMinuteLater = () =>
  purser.knex('claim').update({ claimed_at: purser.knex.raw(`claimed_at - interval '61 seconds'`) })

const refusal = '401 attestation_failed'
/** One request may have two entries: the end of the session, and the refusal. */
const refusalOf = async ({ headers }: Answer) =>
  (await entriesOf(purser, headers.get('purser-request-id'))).find((entry) => entry.outcome === 'refused')
const reasonOf = async (answer: Answer): Promise<unknown> => (await refusalOf(answer))?.reason

describe('a proof of kind x509', () => {
  it('is refused without a certificate', async () => {
    const answer = await purser.call('POST', '/api/v1/credentials', { proof: { kind: 'x509' } })
    expect(fault(answer)).toBe(refusal)
    expect(await reasonOf(answer)).toBe('client_certificate')
  })

  it('renews credentials without extending the session, and again with the new certificate', async () => {
    const first = await attest()
    const [before] = await purser.knex('session').where({ id: first.session })
    const second = await renewed(first)
    const third = await renewed(second, replica)
    expect([second.session, third.session]).toEqual([first.session, first.session])
    expect(new Set([first, second, third].map((svid) => svid.serialNumber)).size).toBe(3)
    const [after] = await purser.knex('session').where({ id: first.session })
    expect(after).toEqual(before)
    expect(await self(third)).toBe(200)
  })

  it('issues JWTs and access tokens without spending the serial number, until a minute after it was spent', async () => {
    const first = await attest()
    const request = { jwts: [{ audience: ['payments'] }], accessToken: {} }
    for (const _ of [1, 2, 3]) expect(fault(await renew(first, request))).toBe('200 ')
    const second = await renewed(first)
    expect(fault(await renew(first, request))).toBe('200 ')
    await aMinuteLater()
    const answer = await renew(first, request)
    expect(fault(answer)).toBe(refusal)
    expect(await reasonOf(answer)).toBe('serial_spent')
    expect(await self(second)).toBe(401)
  })

  it('is bound to its entry and attestor', async () => {
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'twin',
      attestor: 'lab',
      match: { 'oidc:sub': 'web' },
      spiffeId: 'spiffe://example.org/lab/twin',
      grants: { x509: {} },
    })
    const first = await attest()
    // Without a name the proof of the orchestrator is refused now, and that of the certificate is not.
    expect((await renew(first, {})).body).toMatchObject({ spiffeId: 'spiffe://example.org/lab/web' })
    expect(fault(await renew(first, { workload: 'twin' }))).toBe(refusal)
    expect(fault(await renew(first, { attestor: 'join' }))).toBe(refusal)
    expect(fault(await renew(first, { attestor: 'lab', workload: 'web' }))).toBe('200 ')
    const { headers } = await purser.asAdmin('GET', '/api/v1/workloads/twin')
    await purser.asAdmin('DELETE', '/api/v1/workloads/twin', undefined, { 'if-match': headers.get('etag') ?? '"1"' })
  })
})

describe('a serial number', () => {
  it('may be used again with the same key for a minute, because replies get lost; later use ends the session', async () => {
    const first = await attest()
    const request = newRequest()
    const csrRequest = { x509: { csr: request.csr } }
    const answers = [await renew(first, csrRequest), await renew(first, csrRequest, { at: replica })]
    const svids = answers.map((answer) => svidOf(answer, request))
    expect(new Set(svids.map((svid) => svid.serialNumber)).size).toBe(2)
    await aMinuteLater()
    expect(fault(await renew(first, csrRequest))).toBe(refusal)
    expect(await Promise.all([first, ...svids].map(self))).toEqual([401, 401, 401])
  })

  it('that is renewed with two keys ends the session, and the log has the reason', async () => {
    const token = await issuer.token()
    const owner = await attest(token)
    const stolen = { ...owner }
    const next = await renewed(owner)
    const theft = await renew(stolen, { x509: { csr: newRequest().csr } }, { at: replica })
    expect(fault(theft)).toBe(refusal)
    expect(await refusalOf(theft)).toMatchObject({
      reason: 'serial_spent',
      actor: { session: owner.session, workload: 'web', spiffeId: 'spiffe://example.org/lab/web' },
    })
    const endEntry = (await readLog(purser)).find(
      (entry) => entry.action === 'session.end' && entry.resource?.id === owner.session,
    )
    expect(endEntry).toMatchObject({
      actor: { kind: 'system' },
      requestId: theft.headers.get('purser-request-id'),
      change: { after: { serialNumber: owner.serialNumber } },
    })
    expect(endEntry?.revoked?.serialNumbers?.toSorted()).toEqual([owner.serialNumber, next.serialNumber].toSorted())
    expect(await self(next)).toBe(401)
    expect(fault(await renew(next, {}))).toBe(refusal)
    // A workload with a proof of the orchestrator returns with another session.
    const back = await attest(token)
    expect(back.session).not.toBe(owner.session)
    expect(await self(back)).toBe(200)
  })

  it('is renewed for one of many concurrent requests with different keys', async () => {
    const first = await attest()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        renew(first, { x509: { csr: newRequest().csr } }, { at: n % 2 === 0 ? purser : replica }),
      ),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(new Set(answers.map(fault))).toEqual(new Set(['200 ', refusal]))
    expect(await self(first)).toBe(401)
    const isItsEnd = ({ action, resource }: LogEntry) => action === 'session.end' && resource?.id === first.session
    expect((await readLog(purser)).filter(isItsEnd)).toHaveLength(1)
  })

  it('of two containers of one pod is renewed separately', async () => {
    const token = await issuer.token()
    let [svid, two] = [await attest(token), await attest(token)]
    expect(svid.session).toBe(two.session)
    for (const _ of [1, 2]) [svid, two] = [await renewed(svid), await renewed(two, replica)]
    expect([await self(svid), await self(two)]).toEqual([200, 200])
  })
})

describe('renewal ends', () => {
  /** On one open connection. */
  async function throughOneConnection(end: (svid: Svid) => Promise<unknown>): Promise<[Answer, Answer]> {
    const client = await attest()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    try {
      const before = await renew(client, {}, { agent })
      await end(client)
      return [before, await renew(client, {}, { agent })]
    } finally {
      agent.destroy()
    }
  }
  const web = async (change: (definition: Record<string, unknown>) => Record<string, unknown>): Promise<unknown> => {
    const { body, headers } = await purser.asAdmin('GET', '/api/v1/workloads/web')
    const { id: _, revision: __, createdAt: ___, updatedAt: ____, ...definitionBody } = body
    const definition = Object.fromEntries(Object.entries(change(definitionBody)).filter(([name]) => !['warnings', 'lastUsedAt', 'disabled'].includes(name))) // prettier-ignore
    return purser.asAdmin('PUT', '/api/v1/workloads/web', definition, { 'if-match': headers.get('etag') ?? '"1"' })
  }

  it('at the next request, also on an open connection, when the entry is disabled', async () => {
    const [before, after] = await throughOneConnection(() => purser.asAdmin('POST', '/api/v1/workloads/web:disable'))
    await purser.asAdmin('POST', '/api/v1/workloads/web:enable')
    expect([fault(before), fault(after)]).toEqual(['200 ', refusal])
  })

  it('when the entry requires facts that the session does not have', async () => {
    const [before, after] = await throughOneConnection(() =>
      web((workload) => ({ ...workload, match: { 'oidc:sub': 'other' } })),
    )
    await web((workload) => ({ ...workload, match: { 'oidc:sub': 'web' } }))
    expect([fault(before), fault(after)]).toEqual(['200 ', refusal])
  })

  it.each([
    ['the session', (svid: Svid) => ({ session: svid.session })],
    ['the certificate', (svid: Svid) => ({ serialNumber: svid.serialNumber })],
  ])('when %s is revoked', async (_, selection) => {
    const [before, after] = await throughOneConnection((svid) =>
      purser.asAdmin('POST', '/api/v1/revocations', selection(svid)),
    )
    expect([fault(before), fault(after)]).toEqual(['200 ', refusal])
    expect(await reasonOf(after)).toBe('session_ended')
  })

  it('when its holder ended the session', async () => {
    const [before, after] = await throughOneConnection((client) =>
      purser.call('DELETE', '/api/v1/credentials/self', undefined, { client }),
    )
    expect([fault(before), fault(after)]).toEqual(['200 ', refusal])
  })

  it('for everything that the entry no longer grants', async () => {
    const client = await attest()
    await web((workload) => ({ ...workload, grants: { x509: { dnsNames: ['web.lab'] } } }))
    const answer = await renew(client, { jwts: [{ audience: ['payments'] }] })
    await web((workload) => ({
      ...workload,
      grants: { x509: { dnsNames: ['web.lab'] }, jwt: { audiences: ['payments'] } },
    }))
    expect(fault(answer)).toBe('403 not_granted /jwts')
  })

  it('with the session: no credential lasts longer', async () => {
    const client = await attest()
    const end = new Date(Date.now() + 120_000)
    await purser.knex('session').where({ id: client.session }).update({ expires_at: end })
    const next = await renewed(client)
    expect(new Date(next.notAfter).getTime()).toBeLessThanOrEqual(end.getTime())
    await purser
      .knex('session')
      .where({ id: client.session })
      .update({ expires_at: new Date(Date.now() - 1000) })
    expect(fault(await renew(next, {}))).toBe(refusal)
  })
})
