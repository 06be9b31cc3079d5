/**
 * The review before a new epoch is opened (docs/running.md): earlier revocations and single uses stay in force, and
 * revocations during the review count.
 */
import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { beginEpoch } from '../support/begin-epoch.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entryOf } from '../support/operator.ts'
import { createPlace } from '../support/place.ts'
import { type Answer, type TestPurser, audience } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const newCsr = () => createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)

describe.each(frontDoorStores)('in a new epoch (%s)', (store) => {
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser
  let issuer: Issuer
  let proofs: Record<'revoked' | 'reviewed' | 'once' | 'live' | 'job', string>
  const sessions: Record<string, string> = {}

  const present = (token: string): Promise<Answer> =>
    purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token }, x509: { csr: newCsr() } })
  const sessionOf = ({ body, text }: Answer): string => {
    const session = body.session as { id: string } | undefined
    if (!session) throw new Error(text)
    return session.id
  }
  const reasonOf = async (answer: Answer) => [answer.status, (await entryOf(purser, answer))?.reason]

  beforeAll(async () => {
    place = await createPlace(store)
    issuer = await createIssuer()
    const ci = await createIssuer('https://ci.lab.example')
    purser = await place.start()
    await registerLab(purser, issuer)
    const keys = { jwks: { keys: [ci.jwk] } }
    const oidc = { kind: 'oidc', issuer: ci.issuer, audience, keys, singleUse: true }
    await purser.asAdmin('POST', '/api/v1/attestors', { name: 'ci', ...oidc })
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'job',
      attestor: 'ci',
      match: { 'oidc:sub': 'web' },
      spiffeId: 'spiffe://example.org/ci/job',
      grants: { x509: {} },
    })
    const [revoked, reviewed, live, once, job] = await Promise.all([issuer, issuer, issuer, ci, ci].map((issuer) => issuer.token())) // prettier-ignore
    proofs = { revoked, reviewed, live, once, job } as typeof proofs
    for (const name of ['revoked', 'reviewed', 'live', 'once'] as const)
      sessions[name] = sessionOf(await present(proofs[name]))
    await purser.asAdmin('POST', '/api/v1/revocations', { session: sessions['revoked'], reason: 'keyCompromise' })
    await purser.stop()

    const { bootstrapToken } = await beginEpoch(purser.config, place.dataDir, 'restored')
    await writeFile(join(place.dataDir, 'bootstrap-token'), bootstrapToken)
    purser = await place.start()
    await purser.asAdmin('POST', '/api/v1/revocations', { session: sessions['reviewed'], reason: 'keyCompromise' })
    await purser.asAdmin('POST', '/api/v1/log:open', undefined, { 'purser-reason': 'reviewed' })
  })
  afterAll(async () => {
    await purser.stop()
    await place.remove()
  })

  it('revoked workloads stay refused', async () => {
    expect(await reasonOf(await present(proofs.revoked))).toEqual([401, 'blocked'])
  })

  it('revocations during the review apply, also by a session that the older epoch ended', async () => {
    expect(await reasonOf(await present(proofs.reviewed))).toEqual([401, 'blocked'])
  })

  it('a used proof stays used', async () => {
    await purser.knex('claim').update({ claimed_at: purser.knex.raw(`claimed_at - interval '61 seconds'`) })
    expect(await reasonOf(await present(proofs.once))).toEqual([401, 'proof_replayed'])
    expect((await present(proofs.job)).status).toBe(200)
  })

  it('all others attest again, with session ids that none had before, nor in the lost time', async () => {
    const [first, second] = [sessionOf(await present(proofs.live)), sessionOf(await present(proofs.live))]
    expect(second).toBe(first)
    expect(Object.values(sessions)).not.toContain(first)
    const rows: { generation: number }[] = await purser.knex('session').where({ id: first })
    // The lost part of the log could have used this number too.
    expect(rows.map((row) => row.generation)).toEqual([0])
  })
})
