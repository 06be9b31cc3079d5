import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import { type TestPurser, audience, startPurser, startReplica } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const workload = (
  name: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> & { spiffeId?: string } => ({
  name,
  attestor: 'lab',
  match: { 'oidc:sub': name },
  spiffeId: `spiffe://example.org/lab/${name}`,
  ...more,
})

describe.each(frontDoorStores)('workload entries (%s)', (store) => {
  let purser: TestPurser
  let issuer: Issuer
  let ask: Ask

  beforeAll(async () => {
    purser = await startPurser({ store })
    issuer = await createIssuer()
    ask = createAsk(purser)
    const keys = { jwks: { keys: [issuer.jwk] } }
    const lab = { name: 'lab', kind: 'oidc', issuer: issuer.issuer, audience, keys }
    expect(fault(await ask('createAttestor', { body: lab }))).toBe('201 ')
  })
  afterAll(() => purser.stop())

  const attest = async (sub: string, workloadName?: string) =>
    purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await issuer.token({ sub }) },
      ...(workloadName !== undefined && { workload: workloadName }),
    })

  it('are refused as a whole, with every fault, and nothing is stored', async () => {
    const wrong = workload('bad', {
      spiffeId: 'spiffe://other.example/lab/bad',
      grants: {
        x509: { dnsNames: ['purser.example.org'], maxLifetimeSeconds: 86_401 },
        jwt: { audiences: [audience] },
      },
    })
    expect(fault(await ask('createWorkload', { body: wrong }))).toBe(
      '422 impossible /spiffeId /grants/x509/dnsNames/0 /grants/x509/maxLifetimeSeconds /grants/jwt/audiences/0',
    )
    expect(fault(await ask('createWorkload', { body: workload('bad', { match: undefined }) }))).toBe(
      '422 match_too_wide /match',
    )
    expect(fault(await ask('createWorkload', { body: workload('bad', { attestor: 'nobody' }) }))).toBe(
      '422 impossible /attestor',
    )
    expect(fault(await ask('getWorkload', { name: 'bad' }))).toBe('404 not_found')
  })

  describe('whose placeholders could give two workloads the same name', () => {
    const wide = { 'oidc:ns': '*', 'oidc:sa': '*' }
    const joined = workload('joined', {
      match: wide,
      wide: true,
      spiffeId: 'spiffe://example.org/lab/{oidc:ns}-{oidc:sa}',
      grants: {
        jwt: { audiences: [{ audience: 'cloud', claims: { who: '{oidc:ns}-{oidc:sa}', ns: 'ns-{oidc:ns}' } }] },
        secrets: [{ paths: ['apart/{oidc:ns}/{oidc:sa}/*', 'joined/{oidc:ns}-{oidc:sa}'], actions: ['read'] }],
      },
    })
    const apart = workload('joined', {
      match: wide,
      wide: true,
      spiffeId: 'spiffe://example.org/lab/ns/{oidc:ns}/sa/{oidc:sa}',
    })
    const places = '/spiffeId /grants/jwt/audiences/0/claims/who /grants/secrets/0/paths/1'
    const identityOf = async (ns: string, sa: string) =>
      purser.call('POST', '/api/v1/credentials', {
        proof: { kind: 'jwt', token: await issuer.token({ sub: 'any', ns, sa }) },
        workload: 'joined',
      })

    it('are refused, with each position', async () => {
      expect(fault(await ask('createWorkload', { body: joined }))).toBe(`422 impossible ${places}`)
    })

    it('are also refused without a wildcard, because a template may contain other facts than the match', async () => {
      const narrow = workload('joined', { spiffeId: 'spiffe://example.org/lab/{oidc:ns}-{oidc:sa}' })
      expect(fault(await ask('createWorkload', { body: narrow }))).toBe('422 impossible /spiffeId')
    })

    it('are served if they exist already, and refused at the next write', async () => {
      expect(fault(await ask('createWorkload', { body: apart }))).toBe('201 ')
      expect((await identityOf('a', 'b-c')).body.spiffeId).toBe('spiffe://example.org/lab/ns/a/sa/b-c')
      expect((await identityOf('a-b', 'c')).body.spiffeId).toBe('spiffe://example.org/lab/ns/a-b/sa/c')

      await writePolicy('joined', joined)
      expect((await identityOf('a', 'b-c')).body.spiffeId).toBe('spiffe://example.org/lab/a-b-c')
      expect(fault(await ask('replaceWorkload', { name: 'joined', body: joined, ifMatch: 1 }))).toBe(
        `422 impossible ${places}`,
      )
      expect(fault(await ask('replaceWorkload', { name: 'joined', body: apart, ifMatch: 1 }))).toBe('200 ')
      await ask('deleteWorkload', { name: 'joined', ifMatch: 2 })
    })

    it.each([
      ['DNS names', { x509: { dnsNames: ['{oidc:ns}.svc'] } }, '/grants/x509/dnsNames/0'],
      ['databases', { databases: ['{oidc:ns}'] }, '/grants/databases/0'],
      [
        "an operator's bound",
        { operator: { role: 'operator', bound: { secretPrefix: '{oidc:ns}/' } } },
        '/grants/operator/bound/secretPrefix',
      ],
    ])('%s accept no placeholder', async (_, grants, place) => {
      expect(fault(await ask('createWorkload', { body: workload('literal', { grants }) }))).toContain(place)
    })
  })

  /** Writes a definition that an older version accepted: directly to the database, with the next revision. */
  async function writePolicy(name: string, definition: { spiffeId?: string }): Promise<void> {
    const changed = Number((await purser.knex('log_head').first('revision')).revision) + 1
    await purser
      .knex('workload')
      .where({ name })
      .update({ definition: JSON.stringify(definition), changed })
    await purser.knex('log_head').update({ revision: changed })
    const read = async () => (await ask('getWorkload', { name })).body.spiffeId
    await expect.poll(read).toBe(definition.spiffeId)
  }

  it.each([
    'id',
    'revision',
    'disabled',
    'attestorId',
    'attestor_id',
    'definition',
    'changed',
    'deleted_at',
    'createdBy',
    'tenantId',
    'role',
    'policies',
    'version',
    'warnings',
    'lastUsedAt',
    '__proto__',
    'constructor',
  ])('refuse a member %s of a writer', async (member) => {
    // prettier-ignore
    const raw = JSON.stringify(workload('mass')).replace('{', `{"${member}":1,`)
    for (const [method, path] of [
      ['POST', '/api/v1/workloads'],
      ['PUT', '/api/v1/workloads/mass'],
    ] as const) {
      const answer = await purser.call(method, path, undefined, {
        raw,
        token: purser.admin,
        headers: { 'if-match': '"0"' },
      })
      expect(answer.status).toBe(400)
      expect(answer.text).not.toContain('createdBy":1')
    }
    expect(fault(await ask('getWorkload', { name: 'mass' }))).toBe('404 not_found')
  })

  it('are created, read and served, and their name is taken', async () => {
    const creation = await ask('createWorkload', {
      body: workload('web', { labels: { team: 'shop' } }),
      reason: 'ticket 7',
    })
    expect(fault(creation)).toBe('201 ')
    expect(creation.headers.get('etag')).toBe('"1"')
    expect(creation.body).toMatchObject({
      name: 'web',
      wide: false,
      requirePodBound: true,
      pinIdentity: false,
      grants: {},
    })
    const read = await ask('getWorkload', { name: 'web' })
    expect({ ...read.body, warnings: [] }).toEqual(creation.body)
    expect(fault(await ask('createWorkload', { body: workload('web') }))).toBe('409 already_exists')
    expect((await attest('web')).body.spiffeId).toBe('spiffe://example.org/lab/web')

    const entry = await entryOf(purser, creation)
    expect(entry).toMatchObject({
      action: 'workload.create',
      outcome: 'granted',
      actor: { kind: 'operator', operator: 'admin', note: 'ticket 7' },
      resource: { kind: 'workload', id: creation.body.id, name: 'web', revision: 1 },
      change: {
        after: {
          name: 'web',
          attestor: 'lab',
          match: { 'oidc:sub': 'web' },
          labels: { team: 'shop' },
          disabled: false,
        },
      },
    })
  })

  it('are replaced only at the revision that was read', async () => {
    await ask('createWorkload', { body: workload('api') })
    const next = workload('api', { spiffeId: 'spiffe://example.org/lab/api-two' })
    expect(fault(await ask('replaceWorkload', { name: 'api', body: next }))).toBe('428 precondition_required')
    const stale = await ask('replaceWorkload', { name: 'api', body: next, ifMatch: 4 })
    expect(fault(stale)).toBe('412 stale')
    expect(stale.body.revision).toBe(1)
    expect(fault(await ask('replaceWorkload', { name: 'api', body: next, ifMatch: 0 }))).toBe('412 stale')
    expect(fault(await ask('replaceWorkload', { name: 'web', body: next, ifMatch: 1 }))).toBe('422 impossible /name')

    const replaced = await ask('replaceWorkload', { name: 'api', body: next, ifMatch: 1 })
    expect(fault(replaced)).toBe('200 ')
    expect(replaced.headers.get('etag')).toBe('"2"')
    expect((await attest('api')).body.spiffeId).toBe('spiffe://example.org/lab/api-two')
  })

  it('are created by PUT only with If-Match "0"', async () => {
    expect(fault(await ask('replaceWorkload', { name: 'put', body: workload('put'), ifMatch: 1 }))).toBe('412 stale')
    const creation = await ask('replaceWorkload', { name: 'put', body: workload('put'), ifMatch: 0 })
    expect(fault(creation)).toBe('201 ')
    expect((await entryOf(purser, creation))?.action).toBe('workload.create')
    expect(fault(await ask('replaceWorkload', { name: 'put', body: workload('put'), ifMatch: 0 }))).toBe('412 stale')
  })

  it('keep their attestor', async () => {
    const other = await createIssuer('https://other.lab.example')
    const keys = { jwks: { keys: [other.jwk] } }
    await ask('createAttestor', { body: { name: 'other', kind: 'oidc', issuer: other.issuer, audience, keys } })
    const withOtherAttestor = workload('put', { attestor: 'other', spiffeId: 'spiffe://example.org/other/put' })
    expect(fault(await ask('replaceWorkload', { name: 'put', body: withOtherAttestor, ifMatch: 1 }))).toBe(
      '409 conflict /attestor',
    )
  })

  it('issue nothing while they are disabled; disabling needs no revision and can be repeated', async () => {
    await ask('createWorkload', { body: workload('off') })
    const disabling = await ask('disableWorkload', { name: 'off', reason: '3 a.m.' })
    expect(disabling.body).toMatchObject({ disabled: true, revision: 2 })
    expect((await ask('disableWorkload', { name: 'off' })).body).toMatchObject({ disabled: true, revision: 2 })
    expect(fault(await attest('off'))).toBe('401 attestation_failed')
    expect((await ask('replaceWorkload', { name: 'off', body: workload('off'), ifMatch: 2 })).body).toMatchObject({
      disabled: true,
      revision: 3,
    })
    expect((await ask('enableWorkload', { name: 'off' })).body).toMatchObject({ disabled: false, revision: 4 })
    expect((await attest('off')).status).toBe(200)
    expect(fault(await ask('enableWorkload', { name: 'nobody' }))).toBe('404 not_found')
  })

  it('end the access of sessions whose facts no longer match', async () => {
    await ask('createWorkload', { body: workload('narrow', { match: { 'oidc:team': 'ops' } }) })
    const issued = await purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await issuer.token({ team: 'ops', env: 'test' }) },
      workload: 'narrow',
      accessToken: {},
    })
    const { token } = issued.body.accessToken as { token: string }
    expect((await ask('whoAmI', { token })).status).toBe(200)
    await ask('disableWorkload', { name: 'narrow' })
    expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')
    await ask('enableWorkload', { name: 'narrow' })
    expect((await ask('whoAmI', { token })).status).toBe(200)
    const narrower = workload('narrow', { match: { 'oidc:team': 'ops', 'oidc:env': 'prod' } })
    await ask('replaceWorkload', { name: 'narrow', body: narrower, ifMatch: 3 })
    expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')
  })

  it('end with their sessions when they are deleted, and free their name', async () => {
    const { body: first } = await ask('createWorkload', { body: workload('gone') })
    const issued = await purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await issuer.token({ sub: 'gone' }) },
      accessToken: {},
    })
    const { token } = issued.body.accessToken as { token: string }
    expect((await ask('whoAmI', { token })).status).toBe(200)
    expect(fault(await ask('deleteWorkload', { name: 'gone' }))).toBe('428 precondition_required')
    expect(fault(await ask('deleteWorkload', { name: 'nobody' }))).toBe('428 precondition_required')
    expect(fault(await ask('deleteWorkload', { name: 'nobody', ifMatch: 1 }))).toBe('404 not_found')
    expect(fault(await ask('deleteWorkload', { name: 'gone', ifMatch: 2 }))).toBe('412 stale')
    expect((await ask('deleteWorkload', { name: 'gone', ifMatch: 1 })).status).toBe(204)
    expect(fault(await ask('getWorkload', { name: 'gone' }))).toBe('404 not_found')
    expect(fault(await attest('gone'))).toBe('401 attestation_failed')
    expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')

    const { body: second } = await ask('createWorkload', { body: workload('gone') })
    expect(second.id).not.toBe(first.id)
    // A session of the first never becomes one of the second.
    expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')
  })

  it('are shown in their state at each revision', async () => {
    await ask('createWorkload', { body: workload('past', { labels: { n: 'one' } }) })
    await ask('replaceWorkload', { name: 'past', body: workload('past', { labels: { n: 'two' } }), ifMatch: 1 })
    await ask('disableWorkload', { name: 'past' })
    const at = async (revision: number) => ask('getWorkload', { name: 'past', query: { revision: String(revision) } })
    expect((await at(1)).body).toMatchObject({ labels: { n: 'one' }, disabled: false, revision: 1 })
    expect((await at(2)).body).toMatchObject({ labels: { n: 'two' }, disabled: false, revision: 2 })
    expect((await at(3)).body).toMatchObject({ labels: { n: 'two' }, disabled: true, revision: 3 })
    expect(fault(await at(4))).toBe('404 not_found')
    expect(fault(await ask('getWorkload', { name: 'past', query: { revision: '0' } }))).toBe(
      '400 invalid_request /query/revision',
    )
  })

  it('report overlaps with each other as warnings', async () => {
    await ask('createWorkload', { body: workload('wide-a', { match: { 'oidc:team': 'shop' } }) })
    const second = workload('wide-b', { match: { 'oidc:team': 'shop', 'oidc:env': 'prod' } })
    const { body } = await ask('createWorkload', { body: second })
    expect(
      (body.warnings as { code: string; workload: string }[]).filter((warning) => warning.workload === 'wide-a'),
    ).toMatchObject([{ code: 'overlaps' }])
    await ask('disableWorkload', { name: 'wide-a' })
    const repeat = await ask('replaceWorkload', { name: 'wide-b', body: second, ifMatch: 1 })
    expect((repeat.body.warnings as { workload: string }[]).map((warning) => warning.workload)).not.toContain('wide-a')
  })

  it('can be reconstructed from the log alone', async () => {
    const policy = new Map<string, unknown>()
    for (const { action, outcome, resource, change } of await readLog(purser)) {
      if (resource?.kind !== 'workload' || outcome !== 'granted') continue
      if (action === 'workload.delete') policy.delete(resource.id)
      else if (change)
        policy.set(resource.id, { id: resource.id, ...(change.after as object), revision: resource.revision })
    }
    const listing = await ask('listWorkloads', { query: { limit: '200' } })
    const items = listing.body.items as { id: string; name: string }[]
    expect(items.length).toBeGreaterThan(5)
    expect([...policy.values()]).toHaveLength(items.length)
    for (const item of items) expect(policy.get(item.id), item.name).toEqual(item)
  })
})

describe('a hundred concurrent writers with one revision at two replicas', () => {
  const env = { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000' }
  let purser: TestPurser
  let second: TestPurser
  let ask: Ask
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', env })
    second = await startReplica(purser, { env })
    ask = createAsk(purser)
    expect(fault(await ask('createWorkload', { body: agent('one') }))).toBe('201 ')
  })
  afterAll(async () => {
    await second.stop()
    await purser.stop()
  })

  const agent = (writer: string) => ({
    name: 'web',
    attestor: 'join',
    spiffeId: 'spiffe://example.org/join/web',
    labels: { writer },
  })

  it('leave one winner and a history without a gap', async () => {
    const readFromSecond = async () => createAsk(second)('getWorkload', { name: 'web' })
    await expect.poll(async () => (await readFromSecond()).status, { timeout: 5000 }).toBe(200)
    const writers = Array.from({ length: 100 }, (_, n) =>
      createAsk(n % 2 === 0 ? purser : second)('replaceWorkload', { name: 'web', body: agent(String(n)), ifMatch: 1 }),
    )
    const answers = await Promise.all(writers)
    const winners = answers.filter((answer) => answer.status === 200)
    expect(winners).toHaveLength(1)
    expect(new Set(answers.filter((answer) => answer.status !== 200).map(fault))).toEqual(new Set(['412 stale']))
    expect(new Set(answers.filter((answer) => answer.status !== 200).map((answer) => answer.body.revision))).toEqual(
      new Set([2]),
    )
    const live = await ask('getWorkload', { name: 'web' })
    expect(live.body.labels).toEqual(winners[0]?.body.labels)
    const entries = await readLog(purser)
    const changes = entries.filter(
      (entry) => entry.outcome === 'granted' && entry.resource?.kind === 'workload' && entry.change,
    )
    expect(changes.map((entry) => entry.resource?.revision)).toEqual([1, 2])
    expect(entries.filter((entry) => entry.reason === 'stale')).toHaveLength(99)
  })
})
