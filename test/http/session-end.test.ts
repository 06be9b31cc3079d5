/** A session ends itself while other requests append, on two replicas of one Postgres. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inOrder, waiters } from '../support/head-lock.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entryOf, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Svid, attest, renew, selfOf } from '../support/svid.ts'

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

type Token = { id: string; token: string }

const giveUp = (client: Svid, at = replica): Promise<Answer> =>
  at.call('DELETE', '/api/v1/credentials/self', undefined, { client })

describe('DELETE /api/v1/credentials/self', () => {
  it('holds no lock on its session while it waits for the head lock, which would deadlock with an append', async () => {
    const client = await attest(purser, issuer)
    const { knex } = purser
    const tx = await knex.transaction()
    await tx('log_head').forUpdate().first()
    const ending = giveUp(client)
    try {
      await expect.poll(() => waiters(knex), { timeout: 1500 }).toBe(1)
      // Fails at once if another transaction has locked the row.
      await expect(knex('session').where({ id: client.session }).forUpdate().noWait()).resolves.toHaveLength(1)
    } finally {
      await tx.commit()
    }
    expect((await ending).status).toBe(204)
  })

  it('ends the session also while its instance attests again, which opens another session', async () => {
    const token = await issuer.token()
    const client = await attest(purser, issuer, token)
    const [attestation, endReply] = await inOrder<[Svid, Answer]>(
      purser,
      () => attest(purser, issuer, token),
      () => giveUp(client),
    )
    expect([attestation.session, endReply.status]).toEqual([client.session, 204])
    expect((await selfOf(purser, attestation)).status).toBe(401)
    const other = await attest(purser, issuer, token)
    const [ending, after] = await inOrder<[Answer, Svid]>(
      purser,
      () => giveUp(other),
      () => attest(purser, issuer, token),
    )
    expect(ending.status).toBe(204)
    expect(new Set([client, other, after].map((svid) => svid.session)).size).toBe(3)
    expect((await selfOf(purser, after)).status).toBe(200)
  })

  it('leaves its instance one session, however often it attests later', async () => {
    const token = await issuer.token()
    const sessions: string[] = []
    for (const _ of [1, 2, 3]) {
      const [svid, secondSvid] = [await attest(purser, issuer, token), await attest(replica, issuer, token)]
      expect(secondSvid.session).toBe(svid.session)
      sessions.push(svid.session)
      expect((await giveUp(svid)).status).toBe(204)
    }
    expect(new Set(sessions).size).toBe(3)
  })

  it('succeeds once', async () => {
    const client = await attest(purser, issuer)
    const answers = await inOrder<[Answer, Answer]>(
      purser,
      () => giveUp(client),
      () => giveUp(client, purser),
    )
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([204, 401]))
  })
})

describe('a credential that is revoked while it ends its session', () => {
  it.each([
    ['an access token', (_: Svid, { id }: Token) => ({ accessToken: id })],
    ['a certificate', ({ serialNumber }: Svid) => ({ serialNumber })],
  ])('%s does not end the session', async (_, revoked) => {
    const proof = await issuer.token()
    const [client, other] = [await attest(purser, issuer, proof), await attest(purser, issuer, proof)]
    expect(other.session).toBe(client.session)
    const { body } = await renew(purser, client, { accessToken: {} })
    const token = body.accessToken as Token
    const credential = revoked(client, token)
    const presented = 'accessToken' in credential ? { token: token.token } : { client }
    const [revocation, ending] = await inOrder<[Answer, Answer]>(
      purser,
      () => purser.asAdmin('POST', '/api/v1/revocations', credential),
      () => replica.call('DELETE', '/api/v1/credentials/self', undefined, presented),
    )
    expect(revocation.body.revoked).toMatchObject({ sessions: 0 })
    expect(fault(ending)).toBe('401 unauthenticated')
    expect(await entryOf(purser, ending)).toMatchObject({ action: 'session.end', outcome: 'refused' })
    expect((await selfOf(purser, other)).status).toBe(200)
  })
})
