/** A bounded operator grants nothing outside its bound, by any member of any object, and widens no bound. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { account, entryFor, stored, tokenFor } from '../support/accounts.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, entryOf, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const bound = {
  attestors: ['lab'],
  namePrefix: 'shop-',
  spiffeIdPrefix: '/lab/shop/',
  secretPrefix: 'prod/shop/',
  audiences: ['payments'],
  dnsSuffixes: ['shop.svc'],
  databases: ['orders'],
}

const workload = (more: object = {}) => ({
  name: 'shop-web',
  attestor: 'lab',
  match: { 'oidc:sub': 'shop' },
  spiffeId: 'spiffe://example.org/lab/shop/web',
  grants: {
    x509: { dnsNames: ['web.shop.svc'] },
    jwt: { audiences: ['payments'] },
    secrets: [{ paths: ['prod/shop/**'], actions: ['read'] }],
  },
  ...more,
})

describe.each(frontDoorStores)('bounds (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  let issuer: Awaited<ReturnType<typeof createIssuer>>
  let admin: string
  let operator: string
  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
    issuer = await createIssuer()
    await registerLab(purser, issuer)
    for (const [name, role] of [
      ['shop-lead', 'admin'],
      ['shop-ada', 'operator'],
    ])
      expect(fault(await ask('createOperator', { body: { name, role, bound } }))).toBe('201 ')
    admin = (await tokenFor(ask, 'shop-lead')).token
    operator = (await tokenFor(ask, 'shop-ada')).token
  })
  afterAll(() => purser.stop())

  it.each([
    ['/spiffeId', { spiffeId: 'spiffe://example.org/lab/web' }],
    ['/spiffeId', { spiffeId: 'spiffe://example.org/lab/shop' }],
    ['/spiffeId', { spiffeId: 'spiffe://example.org/lab/{oidc:sub}/web' }],
    ['/grants/x509/dnsNames/0', { grants: { x509: { dnsNames: ['web.lab'] } } }],
    ['/grants/x509/dnsNames/1', { grants: { x509: { dnsNames: ['a.shop.svc', 'ashop.svc'] } } }],
    ['/grants/jwt/audiences/0', { grants: { jwt: { audiences: ['cloud'] } } }],
    ['/grants/jwt/audiences/0', { grants: { jwt: { audiences: [{ audience: 'cloud', alg: 'RS256' }] } } }],
    ['/grants/secrets/0/paths/0', { grants: { secrets: [{ paths: ['**'], actions: ['read'] }] } }],
    ['/grants/secrets/0/paths/0', { grants: { secrets: [{ paths: ['prod/**'], actions: ['list'] }] } }],
    ['/grants/secrets/0/paths/0', { grants: { secrets: [{ paths: ['prod/*/x'], actions: ['watch'] }] } }],
    ['/grants/secrets/0/paths/0', { grants: { secrets: [{ paths: ['prod/{oidc:sub}/x'], actions: ['read'] }] } }],
    [
      '/grants/secrets/0/paths/1',
      { grants: { secrets: [{ paths: ['prod/shop/a', 'prod/shop'], actions: ['read'] }] } },
    ],
    ['/grants/databases/0', { grants: { databases: ['payroll'] } }],
    ['/grants/operator/bound', { grants: { operator: { role: 'operator', bound: 'everything' } } }],
  ])('refuse an entry that grants beyond them: %s %j', async (pointer, more) => {
    for (const token of [admin, operator]) {
      const answer = await ask('createWorkload', { body: workload(more), token })
      expect(fault(answer)).toBe(`403 forbidden ${pointer}`)
      expect(await entryFor(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'forbidden' })
    }
    expect(fault(await ask('getWorkload', { name: 'shop-web' }))).toBe('404 not_found')
  })

  it.each([
    ['/name', { name: 'web' }],
    ['/name', { name: 'web-shop-' }],
    ['/name', { name: 'shop' }],
    ['/attestor', { attestor: 'join', match: undefined }],
  ])('refuse an entry with a name or attestor outside: %s %j', async (pointer, more) => {
    const answer = await ask('createWorkload', { body: workload(more), token: operator })
    expect(fault(answer)).toBe(`422 impossible ${pointer}`)
  })

  it('permit what lies within, and judge it again when it is issued', async () => {
    const created = await ask('createWorkload', { body: workload(), token: operator })
    expect(fault(created)).toBe('201 ')
    const request = async () =>
      purser.call('POST', '/api/v1/credentials', {
        proof: { kind: 'jwt', token: await issuer.token({ sub: 'shop' }) },
        jwts: [{ audience: ['payments'] }],
      })
    expect((await request()).status).toBe(200)
    // Simulates rules at the write that had accepted it.
    const narrower = JSON.stringify({ ...bound, audiences: [] })
    await purser.knex.transaction(async (tx) => {
      const [{ revision }] = await tx('log_head').increment('revision', 1).returning('revision')
      await tx('workload').where({ name: 'shop-web' }).update({ bound: narrower, changed: revision })
    })
    await expect.poll(async () => fault(await request())).toBe('401 attestation_failed')
    const explained = await ask('explainWorkload', {
      body: { attestor: 'lab', selectors: { 'oidc:sub': 'shop' } },
      token: operator,
    })
    expect(explained.body).toMatchObject({ outcome: 'refused', reason: 'template_value' })
    expect(explained.text).toContain('outside the bound of the operator who wrote the entry')
    expect(
      fault(await ask('replaceWorkload', { name: 'shop-web', body: workload(), ifMatch: 1, token: operator })),
    ).toBe('200 ')
    await expect.poll(async () => (await request()).status).toBe(200)
  })

  it('refuse a change of an entry beyond them, and a look at an earlier revision outside', async () => {
    const body = workload({
      name: 'shop-moved',
      match: { 'oidc:sub': 'moved' },
      spiffeId: 'spiffe://example.org/lab/moved',
    })
    expect(fault(await ask('createWorkload', { body }))).toBe('201 ')
    expect(fault(await ask('getWorkload', { name: 'shop-moved', token: operator }))).toBe('404 not_found')
    const withOtherId = { ...body, spiffeId: 'spiffe://example.org/lab/shop/moved' }
    expect(fault(await ask('replaceWorkload', { name: 'shop-moved', body: withOtherId, ifMatch: 1 }))).toBe('200 ')
    expect(fault(await ask('getWorkload', { name: 'shop-moved', token: operator }))).toBe('200 ')
    const earlier = await ask('getWorkload', { name: 'shop-moved', token: operator, query: { revision: '1' } })
    expect(fault(earlier)).toBe('404 not_found')
    const back = await ask('replaceWorkload', { name: 'shop-moved', body, ifMatch: 2, token: operator })
    expect(fault(back)).toBe('403 forbidden /spiffeId')
  })

  it('are not widened by an operator that a bounded admin creates or replaces', async () => {
    const before = await stored(purser)
    const wider = [
      'everything',
      { ...bound, secretPrefix: 'prod/' },
      { ...bound, spiffeIdPrefix: '/lab/' },
      { ...bound, attestors: ['lab', 'join'] },
      { ...bound, audiences: ['payments', 'cloud'] },
      { ...bound, dnsSuffixes: ['svc'] },
      { ...bound, databases: ['orders', 'payroll'] },
      { ...bound, namePrefix: 'sh-' },
    ]
    for (const other of wider) {
      const body = { name: 'shop-bea', role: 'operator', bound: other }
      expect(fault(await ask('createOperator', { body, token: admin })), JSON.stringify(other)).toBe(
        '403 forbidden /bound',
      )
      const replaced = { name: 'shop-ada', role: 'operator', bound: other }
      expect(fault(await ask('replaceOperator', { name: 'shop-ada', body: replaced, ifMatch: 1, token: admin }))).toBe(
        '403 forbidden /bound',
      )
      const token = await ask('createToken', { body: { bound: other }, token: operator })
      expect(fault(token)).toBe('403 forbidden /bound')
    }
    const unnamed = await ask('createOperator', { body: { name: 'bea', role: 'operator', bound }, token: admin })
    expect(fault(unnamed)).toBe('422 impossible /name')
    expect(await stored(purser)).toEqual(before)
  })

  it('are inherited when a request has none, and never lost by a client that does not know them', async () => {
    const created = await ask('createOperator', { body: { name: 'shop-bea', role: 'auditor' }, token: admin })
    expect(created.body).toMatchObject({ bound })
    const replaced = await ask('replaceOperator', {
      name: 'shop-bea',
      body: { name: 'shop-bea', role: 'auditor' },
      ifMatch: 1,
    })
    expect(fault(replaced)).toBe('422 impossible /bound')
    const lifted = await ask('replaceOperator', {
      name: 'shop-bea',
      body: { name: 'shop-bea', role: 'auditor', bound: 'everything' },
      ifMatch: 1,
    })
    expect(lifted.body).toMatchObject({ bound: 'everything', revision: 2 })
    expect(await entryOf(purser, lifted)).toMatchObject({
      change: { before: { bound }, after: { bound: 'everything' } },
    })
  })

  it('of a token narrow those of its operator, and a replacement keeps them', async () => {
    const narrow = { secretPrefix: 'prod/shop/web/' }
    const created = await tokenFor(ask, 'shop-ada', { bound: narrow }, operator)
    const list = async (token: string) => (await ask('listWorkloads', { token })).body.items
    expect(await list(operator)).not.toEqual([])
    expect(await list(created.token)).toEqual([])
    const replaced = await ask('replaceToken', { name: created.id, token: created.token })
    expect(replaced.body).toMatchObject({ bound: { secretPrefix: 'prod/shop/web/' } })
    expect(await list(String(replaced.body.token))).toEqual([])
    // No token of an operator exceeds what the operator may do.
    const wide = await account(ask, 'wide', 'operator')
    expect(await list(wide.token)).not.toEqual([])
    await ask('replaceOperator', { name: 'wide', body: { name: 'wide', role: 'operator', bound: {} }, ifMatch: 1 })
    await expect.poll(() => list(wide.token)).toEqual([])
  })

  it('keep servers of the previous version from accepting a token of a bounded operator', async () => {
    const { id } = await tokenFor(ask, 'shop-ada')
    const token = await tokenFor(ask, 'shop-ada', { bound: { secretPrefix: 'prod/shop/' } }, operator)
    const rows = await purser.knex('api_token').whereIn('id', [id, token.id]).select('role', 'own_role')
    expect(rows).toEqual([
      { role: 'none', own_role: 'operator' },
      { role: 'none', own_role: 'operator' },
    ])
  })

  it('keep an admin with a bound from being the last one', async () => {
    const [{ id }] = (await ask('listTokens', { query: { operator: 'admin' } })).body.items as [{ id: string }]
    expect(fault(await ask('revokeToken', { name: id }))).toBe('409 conflict')
    const body = { name: 'admin', role: 'admin', bound }
    expect(fault(await ask('replaceOperator', { name: 'admin', body, ifMatch: 1 }))).toBe('409 conflict')
  })

  it.each(['createAttestor', 'createDatabase', 'rotateKey', 'exportEntries', 'redactEntries', 'getMetrics'] as const)(
    'exclude what belongs to all teams: %s',
    async (operation) => {
      const names = { rotateKey: 'jwt' } as const
      const bodies: Record<string, object> = {
        createAttestor: { name: 'shop', kind: 'oidc', preset: 'github-actions', audience: 'https://a.example' },
        createDatabase: { name: 'orders', kind: 'postgres', host: 'db', database: 'orders', admin: { username: 'a', password: 'b' }, roles: { grants: [] }, defaultLifetimeSeconds: 600 }, // prettier-ignore
        redactEntries: { epoch: 1, from: 0, to: 1, rule: 'age' },
      }
      const answer = await ask(operation, {
        token: admin,
        ...(operation in names && { name: 'jwt' }),
        ...(bodies[operation] && { body: bodies[operation] }),
        ...(operation === 'rotateKey' && { body: {} }),
        reason: 'a try',
      })
      expect(fault(answer)).toBe('403 forbidden')
    },
  )

  it.each([
    ['/bound/secretPrefix', { secretPrefix: 'prod/../' }],
    ['/bound/spiffeIdPrefix', { spiffeIdPrefix: '/lab' }],
    ['/bound/namePrefix', { namePrefix: 'shop' }],
    ['/bound/dnsSuffixes/1', { dnsSuffixes: ['svc', '*.svc'] }],
  ])('with a fault are refused: %s', async (pointer, faulty) => {
    const answer = await ask('createOperator', { body: { name: 'dan', role: 'operator', bound: faulty } })
    expect(fault(answer)).toBe(`422 impossible ${pointer}`)
    expect(fault(await ask('getOperator', { name: 'dan' }))).toBe('404 not_found')
  })
})
