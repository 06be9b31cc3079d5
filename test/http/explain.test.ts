import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

type Considered = {
  workload: { name: string }
  matched: boolean
  conditions: { key: string; ok: boolean; found?: unknown }[]
}
type Explained = {
  outcome: string
  reason?: string
  detail: string
  next?: string
  attestor?: string
  selectors?: Record<string, unknown>
  entries: Considered[]
  grant?: { spiffeId: string; grants: Record<string, unknown>; sessionExpiresAt?: string }
}

describe.each(frontDoorStores)('explain (%s)', (store) => {
  let purser: TestPurser
  let issuer: Issuer
  let ask: Ask
  const explain = async (body: unknown): Promise<Explained> => {
    const answer = await ask('explainWorkload', { body })
    expect(fault(answer)).toBe('200 ')
    return answer.body as unknown as Explained
  }
  const proof = async (claims?: Record<string, unknown>) => ({ kind: 'jwt', token: await issuer.token(claims) })
  const attest = async (body: Record<string, unknown>): Promise<Answer> =>
    purser.call('POST', '/api/v1/credentials', body)
  const byRequest = async (answer: Answer) => explain({ requestId: answer.headers.get('purser-request-id') })

  beforeAll(async () => {
    purser = await startPurser({ store })
    issuer = await createIssuer()
    ask = createAsk(purser)
    await registerLab(purser, issuer)
    const api = {
      name: 'api',
      attestor: 'lab',
      match: { 'oidc:sub': 'api', 'oidc:env': 'prod' },
      spiffeId: 'spiffe://example.org/lab/{oidc:sub}',
    }
    await ask('createWorkload', { body: api })
  })
  afterAll(() => purser.stop())

  it.each([
    [{}, '400 invalid_request'],
    [{ requestId: 'req_x' }, '400 invalid_request /requestId'],
    [{ proof: { kind: 'x509' } }, '400 invalid_request /proof/kind'],
    [{ attestor: 'lab' }, '400 invalid_request'],
    [{ attestor: 'nobody', selectors: { 'oidc:sub': 'web' } }, '422 impossible /attestor'],
    [{ attestor: 'join', selectors: { 'oidc:sub': 'web' } }, '422 impossible /attestor'],
    [{ attestor: 'lab', selectors: { 'oidc:sub': 'a\nb' } }, '422 impossible /selectors'],
    [{ requestId: `req_${'0'.repeat(32)}` }, '404 not_found'],
  ])('refuses %j', async (body, expected) => {
    expect(fault(await ask('explainWorkload', { body }))).toContain(expected)
  })

  it('shows only operators why a proof was refused', async () => {
    const forged = await createIssuer()
    const refused = await attest({ proof: { kind: 'jwt', token: await forged.token() } })
    expect(refused.text).not.toContain('proof_signature')
    const explained = await byRequest(refused)
    expect(explained).toMatchObject({ outcome: 'refused', reason: 'proof_signature', attestor: 'lab', entries: [] })
    expect(explained.next).toContain('keys')
    expect(explained.selectors).toBeUndefined()

    const requestId = refused.headers.get('purser-request-id')
    const path = '/api/v1/workloads:explain'
    expect(fault(await purser.call('POST', path, { requestId }))).toBe('401 unauthenticated')
    const { token } = (await attest({ proof: await proof(), accessToken: {} })).body.accessToken as { token: string }
    expect(fault(await purser.call('POST', path, { requestId }, { token }))).toBe('401 token_type')
  })

  it.each([
    [{ exp: Math.floor(Date.now() / 1000) - 5 }, 'proof_expired'],
    [{ aud: 'https://elsewhere.example' }, 'proof_issuer'],
    [{ sub: undefined }, 'proof_claims'],
  ])('explains a proof with %j by %s', async (claims, reason) => {
    const explained = await explain({ proof: await proof(claims) })
    expect(explained).toMatchObject({ outcome: 'refused', reason, entries: [] })
    expect(explained.next).toBeTruthy()
  })

  it('lists each condition of each entry with the fact, the nearest entry first', async () => {
    const explained = await explain({ proof: await proof({ sub: 'api', env: 'test' }) })
    expect(explained).toMatchObject({ outcome: 'refused', reason: 'no_workload', attestor: 'lab' })
    expect(explained.entries.map((entry) => [entry.workload.name, entry.matched])).toEqual([
      ['api', false],
      ['web', false],
    ])
    expect(explained.entries[0]?.conditions).toEqual([
      { key: 'oidc:env', wanted: 'prod', found: 'test', ok: false },
      { key: 'oidc:sub', wanted: 'api', found: 'api', ok: true },
    ])
    expect(explained.detail).toContain('Nearest is api: oidc:env is "test" and not "prod"')
    expect(explained.next).toContain('register')
  })

  it('names the entry that matches a GitHub subject with ids by name, and the ids to match instead', async () => {
    const entry = { name: 'by-name', attestor: 'lab', match: { 'oidc:sub': 'repo:acme/shop:ref:refs/heads/main' } }
    const body = { ...entry, spiffeId: 'spiffe://example.org/lab/by-name' }
    expect(fault(await ask('createWorkload', { body }))).toBe('201 ')
    const explained = await explain({ proof: await proof({ sub: 'repo:acme@7/shop@42:ref:refs/heads/main' }) })
    expect(explained).toMatchObject({ outcome: 'refused', reason: 'no_workload' })
    expect(explained.detail).toContain('Nearest is by-name: oidc:sub is "repo:acme@7/shop@42:ref:refs/heads/main"')
    expect(explained.detail).toContain('(the entry matches by name, the token has ids)')
    expect(explained.next).toContain('github:repository-id 42')
    for (const sub of ['repo:acme@7/shop@42:ref:refs/heads/other', 'repo:acme@7/shop:ref:refs/heads/main']) {
      expect((await explain({ proof: await proof({ sub }) })).detail).not.toContain('matches by name')
    }
    expect(fault(await ask('deleteWorkload', { name: 'by-name', ifMatch: 1 }))).toBe('204 ')
  })

  it('shows the resulting grant without issuing or spending anything', async () => {
    const mine = await proof()
    const before = await purser.knex('session').count('* as count')
    const explained = await explain({ proof: mine })
    expect(explained.outcome).toBe('granted')
    expect(explained.grant).toMatchObject({
      workload: { name: 'web' },
      spiffeId: 'spiffe://example.org/lab/web',
      grants: { x509: { dnsNames: ['web.lab'] }, jwt: { audiences: ['payments', 'cloud'] } },
    })
    expect(explained.grant?.sessionExpiresAt).toBeDefined()
    expect(JSON.stringify(explained)).not.toMatch(/eyJ|BEGIN|purser_at_/)
    expect(await purser.knex('session').count('* as count')).toEqual(before)
    expect((await attest({ proof: mine })).status).toBe(200)
  })

  it('answers from selectors alone, as if an attestor had reported them', async () => {
    const selectors = { 'oidc:sub': 'api', 'oidc:env': ['test', 'prod'] }
    expect(await explain({ attestor: 'lab', selectors })).toMatchObject({
      outcome: 'granted',
      grant: { spiffeId: 'spiffe://example.org/lab/api' },
    })
    const odd = { 'oidc:sub': ['api', 'other'], 'oidc:env': 'prod' }
    expect(await explain({ attestor: 'lab', selectors: odd })).toMatchObject({
      outcome: 'refused',
      reason: 'template_value',
    })
  })

  it('explains a recorded refusal by its request id, and whether the result has changed', async () => {
    const refused = await attest({ proof: await proof({ sub: 'late' }) })
    expect(fault(refused)).toBe('401 attestation_failed')
    const explanation = await byRequest(refused)
    expect(explanation).toMatchObject({ outcome: 'refused', reason: 'no_workload', selectors: { 'oidc:sub': 'late' } })
    expect(explanation.entries).toHaveLength(2)
    expect(explanation.grant).toBeUndefined()

    const lateWorkload = {
      name: 'late',
      attestor: 'lab',
      match: { 'oidc:sub': 'late' },
      spiffeId: 'spiffe://example.org/lab/late',
    }
    await ask('createWorkload', { body: lateWorkload })
    const now = await byRequest(refused)
    expect(now).toMatchObject({ outcome: 'refused', reason: 'no_workload' })
    expect(now.entries[0]).toMatchObject({ workload: { name: 'late' }, matched: true })
    expect(now.next).toContain('late')
  })

  it('names the part of the request that was not granted', async () => {
    const refused = await attest({ proof: await proof(), jwts: [{ audience: ['payments', 'nobody'] }] })
    expect(fault(refused)).toBe('403 not_granted /jwts/0/audience/1')
    const explained = await byRequest(refused)
    expect(explained).toMatchObject({ outcome: 'refused', reason: 'not_granted' })
    expect(explained.detail).toContain('/jwts/0/audience/1')
  })

  it('lists several matching entries, and the grant of a named one', async () => {
    const second = {
      name: 'web-two',
      attestor: 'lab',
      match: { 'oidc:sub': 'web' },
      spiffeId: 'spiffe://example.org/lab/web-two',
    }
    await ask('createWorkload', { body: second })
    const body = { attestor: 'lab', selectors: { 'oidc:sub': 'web' } }
    const several = await explain(body)
    expect(several).toMatchObject({ outcome: 'refused', reason: 'several_workloads' })
    expect(several.entries.filter((entry) => entry.matched).map((entry) => entry.workload.name)).toEqual([
      'web',
      'web-two',
    ])
    expect((await explain({ ...body, workload: 'web-two' })).grant?.spiffeId).toBe('spiffe://example.org/lab/web-two')
    const other = await explain({ ...body, workload: 'api' })
    expect(other).toMatchObject({ outcome: 'refused', reason: 'no_workload' })
    expect(other.detail).toContain('The entry web matches, but the request named another')
    await ask('disableWorkload', { name: 'web-two' })
    expect(await explain({ ...body, workload: 'web-two' })).toMatchObject({
      outcome: 'refused',
      reason: 'workload_disabled',
    })
    await ask('deleteWorkload', { name: 'web-two', ifMatch: 2 })
  })

  it('is recorded with operator and subject, without the proof', async () => {
    const { token } = await proof()
    const answer = await ask('explainWorkload', { body: { proof: { kind: 'jwt', token } }, reason: 'ticket 8' })
    expect(await entryOf(purser, answer)).toMatchObject({
      action: 'workload.explain',
      outcome: 'granted',
      actor: { kind: 'operator', operator: 'admin', note: 'ticket 8' },
      detail: { outcome: 'granted', attestor: 'lab', selectors: { 'oidc:sub': 'web' } },
    })
    const text = JSON.stringify([await readLog(purser), purser.logs])
    expect(text).not.toContain(token)
    expect(text).not.toContain(token.split('.')[1])
  })

  it('explains a join token without spending a use', async () => {
    const agent = { name: 'agent', attestor: 'join', spiffeId: 'spiffe://example.org/join/agent' }
    await ask('createWorkload', { body: agent })
    const { token } = (await ask('createJoinToken', { body: { workload: 'agent' } })).body
    for (let attempt = 0; attempt < 3; attempt++) {
      const explained = await explain({ proof: { kind: 'join-token', token } })
      expect(explained).toMatchObject({ outcome: 'granted', attestor: 'join', grant: { spiffeId: agent.spiffeId } })
      expect(explained.detail).toContain('checked when it is presented')
    }
    const rows: { uses_left: number }[] = await purser.knex('join_token').select('uses_left')
    expect(rows).toEqual([{ uses_left: 1 }])
    const unknown = { kind: 'join-token', token: `purser_join_${'A'.repeat(43)}` }
    expect(await explain({ proof: unknown })).toMatchObject({ outcome: 'refused', reason: 'join_token', entries: [] })
  })

  it('names the revocation that covers a caller with a grant', async () => {
    const until = new Date(Date.now() + 3_600_000)
    await purser.knex.transaction(async (tx) => {
      const [head]: { revision: string }[] = await tx('log_head')
        .update({ revision: tx.raw('revision + 1') })
        .returning('revision')
      const value = 'spiffe://example.org/lab/web'
      await tx('block').insert({ id: 'rev_1', kind: 'spiffeId', value, at: new Date(), until, changed: head?.revision })
    })
    await expect.poll(async () => (await explain({ proof: await proof() })).reason, { timeout: 5000 }).toBe('blocked')
    const explained = await explain({ proof: await proof() })
    expect(explained).toMatchObject({
      outcome: 'refused',
      selectors: { 'oidc:sub': 'web' },
      entries: [{ matched: true }, {}, {}],
    })
    expect(explained.detail).toContain(until.toISOString())
    expect(explained.grant).toBeUndefined()
  })

  it('does not explain requests of operators, which only auditors may read', async () => {
    const answer = await ask('createWorkload', {
      body: { name: 'x', attestor: 'nobody', spiffeId: 'spiffe://example.org/a/b' },
    })
    const requestId = answer.headers.get('purser-request-id')
    expect(fault(await ask('explainWorkload', { body: { requestId } }))).toBe('404 not_found')
  })
})
