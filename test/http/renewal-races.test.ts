/**
 * A certificate is revoked while a renewal by it waits for the log. At every replica, no entry after the revocation's
 * index was decided without it, though the renewal was decided before (docs/architecture.md, Freshness).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inOrder } from '../support/head-lock.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entriesOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Svid, attest, newRequest, renew } from '../support/svid.ts'

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

/** Whether the entry of the first request precedes that of the second. */
async function areRecordedInOrder(requests: readonly [Answer, Answer]): Promise<boolean> {
  const requestIds = (await readLog(purser)).map((entry) => entry.requestId)
  const [first = -1, second = -1] = requests.map(({ headers }) =>
    requestIds.indexOf(headers.get('purser-request-id') ?? ''),
  )
  return first < second
}

const maxTries = 5

const refusal = '401 attestation_failed'
const reasonOf = async (answer: Answer): Promise<unknown> =>
  (await entriesOf(purser, answer.headers.get('purser-request-id'))).map((entry) => entry.reason)

const requests = [
  ['a JWT', () => ({ jwts: [{ audience: ['payments'] }] })],
  ['an access token', () => ({ accessToken: {} })],
  ['a certificate', () => ({ x509: { csr: newRequest().csr } })],
] as const

describe.each(requests)('a renewal that asks for %s while its certificate', (_, more) => {
  /** A renewal that is recorded first was decided correctly: an append of the server itself waited in its place. */
  const meanwhile = async (
    end: (client: Svid) => Promise<Answer>,
    undo?: () => Promise<Answer>,
  ): Promise<[Answer, Answer]> => {
    for (let tries = 0; tries < maxTries; tries++) {
      const client = await attest(purser, issuer)
      const answers = await inOrder<[Answer, Answer]>(
        purser,
        () => end(client),
        () => renew(replica, client, more()),
      )
      await undo?.()
      if (await areRecordedInOrder(answers)) return answers
    }
    throw new Error(`a renewal was recorded first ${maxTries} times`)
  }

  it('is revoked gets nothing', async () => {
    const [revoked, renewal] = await meanwhile(({ serialNumber }) =>
      purser.asAdmin('POST', '/api/v1/revocations', { serialNumber }),
    )
    expect(revoked.body.revoked).toMatchObject({ certificates: 1, sessions: 0 })
    expect(fault(renewal)).toBe(refusal)
    expect(await reasonOf(renewal)).toEqual(['session_ended'])
  })

  it('loses its issuing key gets nothing', async () => {
    const [, renewal] = await meanwhile(() =>
      purser.asAdmin('POST', '/api/v1/keys/ca:rotate', { compromised: true, level: 'issuing' }),
    )
    expect(fault(renewal)).toBe(refusal)
    expect(await reasonOf(renewal)).toEqual(['session_ended'])
  })

  it('has its entry disabled gets nothing', async () => {
    const [, renewal] = await meanwhile(
      () => purser.asAdmin('POST', '/api/v1/workloads/web:disable'),
      () => purser.asAdmin('POST', '/api/v1/workloads/web:enable'),
    )
    expect(fault(renewal)).toBe(refusal)
  })

  it('stays valid succeeds, despite other changes', async () => {
    const other = await attest(purser, issuer)
    const [, renewal] = await meanwhile(() =>
      purser.asAdmin('POST', '/api/v1/revocations', { serialNumber: other.serialNumber }),
    )
    expect(fault(renewal)).toBe('200 ')
  })
})
