import { createHash, generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('join tokens (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  const join = async (token: string) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'join-token', token },
      x509: { csr: createCsr(privateKey) },
    })
  }

  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
    await registerLab(purser, await createIssuer())
    const grants = { x509: {} }
    const agent = { name: 'agent', attestor: 'join', spiffeId: 'spiffe://example.org/join/agent', grants }
    expect(fault(await ask('createWorkload', { body: agent }))).toBe('201 ')
  })
  afterAll(() => purser.stop())

  it.each([
    [{ workload: 'nobody' }, '422 impossible /workload'],
    [{ workload: 'web' }, '422 impossible /workload'],
    [{ workload: 'agent', uses: 0 }, '400 invalid_request /uses'],
    [{ workload: 'agent', uses: 1001 }, '400 invalid_request /uses'],
    [{ workload: 'agent', lifetimeSeconds: 604_801 }, '400 invalid_request /lifetimeSeconds'],
    [{ workload: 'agent', hash: 'x' }, '400 invalid_request /hash'],
    [{ workload: 'agent', uses_left: 9 }, '400 invalid_request /uses_left'],
    [{}, '400 invalid_request /workload'],
  ])('are refused for %j', async (body, expected) => {
    expect(fault(await ask('createJoinToken', { body }))).toBe(expected)
  })

  it('are shown once and stored as a hash', async () => {
    const creation = await ask('createJoinToken', { body: { workload: 'agent', lifetimeSeconds: 60 } })
    expect(fault(creation)).toBe('201 ')
    const token = String(creation.body.token)
    const entry = await entryOf(purser, creation)
    expect(entry).toMatchObject({
      action: 'join-token.create',
      resource: { kind: 'join-token', id: creation.body.id },
      change: { after: { workload: 'agent', uses: 1 } },
    })
    const rows: { hash: Buffer }[] = await purser.knex('join_token').select('*')
    expect(rows.map((row) => row.hash.toString('hex'))).toContain(createHash('sha256').update(token).digest('hex'))
    expect(JSON.stringify([await readLog(purser), rows, purser.logs])).not.toContain(token)
  })

  it('are redeemed up to their number of uses, each time by another key', async () => {
    const { body } = await ask('createJoinToken', { body: { workload: 'agent', uses: 2 } })
    const token = String(body.token)
    const answers = await Promise.all(Array.from({ length: 10 }, () => join(token)))
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(2)
    expect(answers.find((answer) => answer.status === 200)?.body.spiffeId).toBe('spiffe://example.org/join/agent')
    expect(new Set(answers.filter((answer) => answer.status !== 200).map(fault))).toEqual(
      new Set(['401 attestation_failed']),
    )
  })

  it('are refused once their entry is deleted', async () => {
    const brief = { name: 'brief', attestor: 'join', spiffeId: 'spiffe://example.org/join/brief' }
    await ask('createWorkload', { body: brief })
    const { body } = await ask('createJoinToken', { body: { workload: 'brief' } })
    await ask('deleteWorkload', { name: 'brief', ifMatch: 1 })
    await ask('createWorkload', { body: brief })
    expect(fault(await join(String(body.token)))).toBe('401 attestation_failed')
  })
})
