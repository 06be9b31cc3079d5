import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newToken } from '../../src/names/token.ts'
import { waiters } from '../support/head-lock.ts'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

type Listed = { id: string; operator: string; role: string; revokedAt?: string }

/** A row that every replica reads. */
async function insertToken({ knex }: TestPurser, role: string, more: Record<string, unknown> = {}) {
  const { token, id, hash } = newToken('api', randomBytes)
  const [created_at, expires_at] = [new Date(Date.now() - 1000), new Date(Date.now() + 3_600_000)]
  await knex.transaction(async (tx) => {
    const [head]: { revision: string }[] = await tx('log_head')
      .update({ revision: tx.raw('revision + 1') })
      .returning('revision')
    const row = { id, hash, operator: `an-${role}`, role, created_at, expires_at, changed: head?.revision, ...more }
    await tx('api_token').insert(row)
  })
  return { token, id }
}

describe.each(frontDoorStores)('API tokens (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  const listTokens = async (): Promise<Listed[]> => (await ask('listTokens')).body.items as Listed[]

  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
    expect((await ask('whoAmI')).status).toBe(200)
  })
  afterAll(() => purser.stop())

  it('are listed without their values', async () => {
    const answer = await ask('listTokens')
    expect(fault(answer)).toBe('200 ')
    expect(answer.body.items).toMatchObject([{ operator: 'admin', role: 'admin' }])
    expect(answer.text).not.toContain(purser.admin)
    expect(answer.text).not.toContain('hash')
  })

  it('cannot all be revoked: one admin token stays', async () => {
    const [only] = await listTokens()
    const answer = await ask('revokeToken', { name: only?.id ?? '' })
    expect(fault(answer)).toBe('409 conflict')
    expect((await entryOf(purser, answer))?.reason).toBe('conflict')
    expect((await ask('whoAmI')).status).toBe(200)
  })

  it('count as another admin only while they are live admin tokens', async () => {
    const [only] = await listTokens()
    await insertToken(purser, 'auditor')
    await insertToken(purser, 'admin', { revoked_at: new Date() })
    await insertToken(purser, 'admin', { expires_at: new Date(Date.now() - 500) })
    await expect.poll(async () => (await listTokens()).length, { timeout: 5000 }).toBe(4)
    expect(fault(await ask('revokeToken', { name: only?.id ?? '' }))).toBe('409 conflict')
  })

  it('leave the list a month after they end, without a restart', async () => {
    const days = (count: number): Date => new Date(Date.now() - count * 86_400_000)
    const oldToken = await insertToken(purser, 'auditor', { created_at: days(61), expires_at: days(31) })
    const ended = await insertToken(purser, 'auditor', { created_at: days(59), expires_at: days(29) })
    const ids = async (): Promise<string[]> => (await listTokens()).map((token) => token.id)
    await expect.poll(ids, { timeout: 5000 }).toEqual(expect.arrayContaining([oldToken.id, ended.id]))
    await purser.runJobs()
    expect(await ids()).not.toContain(oldToken.id)
    expect(await ids()).toContain(ended.id)
    expect(await purser.knex('api_token').where({ id: oldToken.id })).toEqual([])
    expect((await ask('whoAmI')).status).toBe(200)
  })

  it('end at once when they are revoked', async () => {
    const { token, id } = await insertToken(purser, 'admin')
    await expect.poll(async () => (await ask('listWorkloads', { token })).status, { timeout: 5000 }).toBe(200)
    const revoked = await ask('revokeToken', { name: id })
    expect(revoked.status).toBe(204)
    expect(await entryOf(purser, revoked)).toMatchObject({
      action: 'token.revoke',
      resource: { kind: 'api-token', id },
    })
    const refused = await ask('listWorkloads', { token })
    expect(fault(refused)).toBe('401 unauthenticated')
    expect((await entryOf(purser, refused))?.actor).toEqual({
      kind: 'anonymous',
      operator: 'an-admin',
      tokenId: id,
    })
    expect(fault(await ask('revokeToken', { name: id }))).toBe('404 not_found')
    expect((await listTokens()).find((token) => token.id === id)?.revokedAt).toBeDefined()
    expect(fault(await ask('revokeToken', { name: 'tok_nobody' }))).toBe('404 not_found')
  })

  it('allow what their role may do, and disclose nothing else', async () => {
    const name = 'nobody'
    const workload = { name, attestor: 'join', spiffeId: 'spiffe://example.org/join/nobody' }
    const attestor = { name, kind: 'oidc', issuer: 'https://x.example', audience: 'https://purser.example.org' }
    const tries = [
      ['listAttestors', {}],
      ['listWorkloads', {}],
      ['getWorkload', { name }],
      ['explainWorkload', { body: { requestId: `req_${'0'.repeat(32)}` } }],
      ['listTokens', {}],
      ['createWorkload', { body: workload }],
      ['deleteWorkload', { name, ifMatch: 1 }],
      ['disableWorkload', { name }],
      ['createJoinToken', { body: { workload: name } }],
      ['createAttestor', { body: attestor }],
      ['deleteAttestor', { name, ifMatch: 1 }],
      ['checkAttestor', { name }],
      ['revokeToken', { name: 'tok_x' }],
    ] as const
    const expectedOperations: Record<string, string[]> = {
      auditor: ['listAttestors', 'listWorkloads', 'getWorkload', 'explainWorkload', 'listTokens'],
      operator: [
        'listAttestors', 'listWorkloads', 'getWorkload', 'explainWorkload',
        'createWorkload', 'deleteWorkload', 'disableWorkload', 'createJoinToken',
      ],
    } // prettier-ignore
    for (const role of ['auditor', 'operator']) {
      const { token } = await insertToken(purser, role)
      await expect.poll(async () => (await ask('listWorkloads', { token })).status, { timeout: 5000 }).toBe(200)
      const opened: string[] = []
      for (const [operation, options] of tries) {
        const answer = await ask(operation, { ...options, token })
        if (fault(answer) !== '403 forbidden') opened.push(operation)
        else expect(Object.keys(answer.body).sort()).toEqual(['code', 'requestId', 'status', 'title', 'type'])
        if (operation === 'createWorkload' && answer.status === 201) await ask('deleteWorkload', { name, ifMatch: 1 })
      }
      expect(opened, role).toEqual(expectedOperations[role])
    }
  })

  it('cannot grant a role beyond their own', async () => {
    const { token } = await insertToken(purser, 'operator')
    await expect.poll(async () => (await ask('listWorkloads', { token })).status, { timeout: 5000 }).toBe(200)
    const workload = (role: string) => ({
      name: 'pipeline',
      attestor: 'join',
      spiffeId: 'spiffe://example.org/join/pipeline',
      grants: { operator: { role, bound: 'everything' } },
    })
    for (const role of ['admin', 'auditor']) {
      expect(fault(await ask('createWorkload', { body: workload(role), token }))).toBe(
        '403 forbidden /grants/operator/role',
      )
    }
    expect(fault(await ask('createWorkload', { body: workload('operator'), token }))).toBe('201 ')
    expect(fault(await ask('replaceWorkload', { name: 'pipeline', body: workload('admin'), ifMatch: 1, token }))).toBe(
      '403 forbidden /grants/operator/role',
    )
    expect(fault(await ask('replaceWorkload', { name: 'pipeline', body: workload('admin'), ifMatch: 1 }))).toBe('200 ')
  })

  it('are refused in place of another kind of credential, and vice versa', async () => {
    for (const kind of ['at', 'join', 'boot'] as const) {
      const { token } = newToken(kind, randomBytes)
      expect(fault(await ask('listWorkloads', { token }))).toBe('401 token_type')
    }
    expect(fault(await ask('listWorkloads', { token: newToken('api', randomBytes).token }))).toBe('401 unauthenticated')
    const entries = await readLog(purser)
    expect(entries.some((entry) => entry.action === 'workload.read' && entry.reason === 'token_type')).toBe(true)
  })
})

describe('a token that is revoked while its request waits for the log', () => {
  let purser: TestPurser
  let ask: Ask
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
    ask = createAsk(purser)
  })
  afterAll(() => purser.stop())

  /** Holds the head lock, lets the request wait for it, revokes the token under the lock, and releases the lock. */
  async function revokedMeanwhile(request: (token: string) => Promise<Answer>): Promise<Answer> {
    const { token, id } = await insertToken(purser, 'admin', { first_used_at: new Date() })
    await expect.poll(async () => (await ask('listWorkloads', { token })).status, { timeout: 5000 }).toBe(200)
    const tx = await purser.knex.transaction()
    const [head]: { revision: string }[] = await tx('log_head').forUpdate().select('revision')
    const answer = request(token)
    await expect.poll(() => waiters(purser.knex), { timeout: 1500 }).toBe(1)
    const changed = Number(head?.revision) + 1
    await tx('api_token').where({ id }).update({ revoked_at: new Date(), changed })
    await tx('log_head').update({ revision: changed })
    await tx.commit()
    return answer
  }

  it('changes nothing', async () => {
    const body = { name: 'late', attestor: 'join', spiffeId: 'spiffe://example.org/join/late' }
    const answer = await revokedMeanwhile((token) => ask('createWorkload', { body, token }))
    expect(fault(answer)).toBe('401 unauthenticated')
    expect(fault(await ask('getWorkload', { name: 'late' }))).toBe('404 not_found')
    expect(await entryOf(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'unauthenticated' })
  })

  it('discloses nothing to its holder', async () => {
    const body = { attestor: 'join', selectors: { 'a:b': 'c' } }
    const lab = { name: 'lab', kind: 'oidc', issuer: 'https://lab.example', audience: 'https://purser.example.org' }
    await ask('createAttestor', { body: lab })
    const answer = await revokedMeanwhile((token) =>
      ask('explainWorkload', { body: { ...body, attestor: 'lab' }, token }),
    )
    expect(fault(answer)).toBe('401 unauthenticated')
  })
})

describe('the first use of a token', () => {
  let purser: TestPurser
  let replica: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
    replica = await startReplica(purser)
  })
  afterAll(async () => {
    await replica.stop()
    await purser.stop()
  })

  it('is recorded once among concurrent requests at several replicas', async () => {
    const { token, id } = await insertToken(purser, 'admin')
    const listingAt = async (at: TestPurser) => (await at.call('GET', '/api/v1/tokens', undefined, { token: purser.admin })).text // prettier-ignore
    for (const at of [purser, replica]) await expect.poll(() => listingAt(at), { timeout: 5000 }).toContain(id)
    const tx = await purser.knex.transaction()
    await tx('log_head').forUpdate().first()
    const uses = [purser, purser, replica, replica].map((at) =>
      at.call('GET', '/api/v1/workloads', undefined, { token }),
    )
    // All of them are being recorded, and wait for the head lock.
    await expect.poll(() => waiters(purser.knex), { timeout: 1500 }).toBe(4)
    await tx.commit()
    expect((await Promise.all(uses)).map((answer) => answer.status)).toEqual([200, 200, 200, 200])
    const first = (await readLog(purser)).filter((entry) => entry.action === 'token.use' && entry.resource?.id === id)
    expect(first).toHaveLength(1)
  })
})
