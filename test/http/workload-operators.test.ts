/** Workloads whose entry grants them an operator's rights: CI jobs act without a stored token. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadOpenApi, type OperationId } from '../../src/http/openapi.ts'
import { isOperatorPermission, needsPerson, roleMay } from '../../src/operators/permissions.ts'
import { account, entryFor, stored, tokenFor } from '../support/accounts.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'
import { attest } from '../support/svid.ts'
import { type OperatorGrant, operatorJob, pipeline, startJob } from '../support/workload-operators.ts'

const unboundedAdmin: OperatorGrant = { role: 'admin', bound: 'everything' }

const bound = {
  attestors: ['lab'],
  namePrefix: 'shop-',
  spiffeIdPrefix: '/lab/shop/',
  secretPrefix: 'prod/shop/',
  audiences: ['payments'],
  dnsSuffixes: ['shop.svc'],
  databases: ['orders'],
}

const joined = (name: string, grants: object = {}) => ({
  name,
  attestor: 'join',
  spiffeId: `spiffe://example.org/join/${name}`,
  grants,
})

describe.each(frontDoorStores)('workloads as operators (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  let issuer: Awaited<ReturnType<typeof createIssuer>>
  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
    issuer = await createIssuer()
    await registerLab(purser, issuer)
  })
  afterAll(() => purser.stop())

  const job = (name: string, grant: OperatorGrant, more: object = {}) =>
    operatorJob(purser, ask, issuer, { name, grant, more })

  /** As an earlier version stored it: past the server, and with the next revision. */
  async function writePast(name: string, change: object): Promise<void> {
    await purser.knex.transaction(async (tx) => {
      const [{ revision }] = await tx('log_head').increment('revision', 1).returning('revision')
      await tx('workload')
        .where({ name })
        .increment('revision', 1)
        .update({ ...change, changed: revision })
    })
  }

  it('get no rights by a grant that an earlier version stored', async () => {
    const idle = { role: 'admin', paths: ['**'], attestors: ['lab'] }
    expect(fault(await ask('createWorkload', { body: pipeline('old', undefined) }))).toBe('201 ')
    await writePast('old', { definition: JSON.stringify(pipeline('old', idle)) })
    const revision = async () => (await ask('getWorkload', { name: 'old' })).body.revision
    await expect.poll(revision).toBe(2)
    expect((await ask('getWorkload', { name: 'old' })).body.grants).toEqual({ operator: idle })

    const { token } = await startJob(purser, issuer, 'old')
    for (const operation of ['listWorkloads', 'listOperators', 'searchEntries', 'getMetrics'] as const)
      expect(fault(await ask(operation, { token })), operation).toBe('401 token_type')
    expect(fault(await ask('createWorkload', { body: joined('by-old'), token }))).toBe('401 token_type')
    expect((await ask('whoAmI', { token })).body.role).toBeUndefined()

    const explained = await ask('explainWorkload', { body: { attestor: 'lab', selectors: { 'oidc:sub': 'old' } } })
    expect(explained.body.detail).toContain('grants.operator has no effect until it has a bound')
    const disabled = await ask('disableWorkload', { name: 'old' })
    expect(disabled.body.grants).toEqual({ operator: idle })
    const enabled = await ask('enableWorkload', { name: 'old' })
    expect(enabled.body.warnings).toEqual([expect.objectContaining({ code: 'no_effect' })])
    // Also a write that repeats it is refused: its author learns that it has no effect.
    const repeated = await ask('replaceWorkload', { name: 'old', body: pipeline('old', idle), ifMatch: 4 })
    expect(fault(repeated)).toBe('422 impossible /grants/operator /grants/operator/paths /grants/operator/attestors')
  })

  it.each([
    ['/grants/operator', { role: 'operator' }],
    ['/grants/operator/paths', { role: 'operator', bound: {}, paths: ['a/**'] }],
    ['/grants/operator/bound/spiffeIdPrefix', { role: 'operator', bound: { spiffeIdPrefix: 'lab' } }],
    ['/grants/operator/routes/0', { role: 'operator', bound: {}, routes: ['GET /api/v1/nothing'] }],
    ['/grants/operator/routes/0', { role: 'admin', bound: 'everything', routes: ['POST /api/v1/tokens'] }],
    ['/grants/operator/routes/0', { role: 'admin', bound: 'everything', routes: ['GET /api/v1/secrets/{path}'] }],
  ])('are granted nothing that cannot be: %s %j', async (pointer, operator) => {
    expect(fault(await ask('createWorkload', { body: pipeline('faulty', operator) }))).toBe(`422 impossible ${pointer}`)
    expect(fault(await ask('getWorkload', { name: 'faulty' }))).toBe('404 not_found')
  })

  it('have no rights that the writer of their entry lacks: role, routes, and each member of its bound', async () => {
    await ask('createOperator', { body: { name: 'shop-lead', role: 'admin', bound } })
    await ask('createOperator', { body: { name: 'shop-ada', role: 'operator', bound } })
    const lead = (await tokenFor(ask, 'shop-lead')).token
    const ada = (await tokenFor(ask, 'shop-ada')).token
    const routes = ['GET /api/v1/workloads', 'POST /api/v1/workloads', 'PUT /api/v1/workloads/{name}']
    const limited = (await tokenFor(ask, 'shop-lead', { routes })).token
    const body = (operator: object) => pipeline('shop-ci', operator, { spiffeId: 'spiffe://example.org/lab/shop/ci' })
    const wider = [
      'everything',
      { ...bound, attestors: ['lab', 'join'] },
      { ...bound, namePrefix: 'sh-' },
      { ...bound, spiffeIdPrefix: '/lab/' },
      { ...bound, secretPrefix: 'prod/' },
      { ...bound, audiences: ['payments', 'cloud'] },
      { ...bound, dnsSuffixes: ['svc'] },
      { ...bound, databases: ['orders', 'payroll'] },
    ]
    for (const other of wider) {
      const answer = await ask('createWorkload', { body: body({ role: 'operator', bound: other }), token: lead })
      expect(fault(answer), JSON.stringify(other)).toBe('403 forbidden /grants/operator/bound')
    }
    for (const role of ['admin', 'auditor']) {
      const answer = await ask('createWorkload', { body: body({ role, bound }), token: ada })
      expect(fault(answer), role).toBe('403 forbidden /grants/operator/role')
    }
    const unlimited = await ask('createWorkload', { body: body({ role: 'operator', bound }), token: limited })
    expect(fault(unlimited)).toBe('403 forbidden /grants/operator/routes')
    const within = { role: 'operator', bound, routes: routes.slice(0, 2) }
    expect(fault(await ask('createWorkload', { body: body(within), token: limited }))).toBe('201 ')
    expect(fault(await ask('replaceWorkload', { name: 'shop-ci', body: body({ role: 'operator', bound }), ifMatch: 1, token: ada }))).toBe('200 ') // prettier-ignore
    // An operator without the rights of the entry changes nothing of it, and lets nobody in.
    expect(fault(await ask('replaceWorkload', { name: 'shop-ci', body: body({ role: 'admin', bound }), ifMatch: 2, token: lead }))).toBe('200 ') // prettier-ignore
    const replacement = { ...body({ role: 'admin', bound }), match: { 'oidc:sub': 'another' } }
    expect(fault(await ask('replaceWorkload', { name: 'shop-ci', body: replacement, ifMatch: 3, token: ada }))).toBe('403 forbidden /grants/operator/role') // prettier-ignore
    expect(fault(await ask('disableWorkload', { name: 'shop-ci', token: ada }))).toBe('200 ')
    expect(fault(await ask('enableWorkload', { name: 'shop-ci', token: ada }))).toBe('403 forbidden /path/name')
    const host = { ...joined('shop-host', { operator: { role: 'admin', bound } }) }
    expect(fault(await ask('createWorkload', { body: host }))).toBe('201 ')
    const { token: wide } = await account(ask, 'wide', 'operator')
    expect(fault(await ask('createJoinToken', { body: { workload: 'shop-host' }, token: wide }))).toBe('403 forbidden /workload') // prettier-ignore
  })

  it('lose the grant once it is beyond the bound of the writer of their entry', async () => {
    await ask('createOperator', { body: { name: 'shop-max', role: 'admin', bound } })
    const { token: max } = await tokenFor(ask, 'shop-max')
    const body = pipeline('shop-cd', { role: 'operator', bound }, { spiffeId: 'spiffe://example.org/lab/shop/cd' })
    expect(fault(await ask('createWorkload', { body, token: max }))).toBe('201 ')
    const { token } = await startJob(purser, issuer, 'shop-cd')
    expect(fault(await ask('listWorkloads', { token }))).toBe('200 ')
    await writePast('shop-cd', { bound: JSON.stringify({ ...bound, databases: [] }) })
    await expect.poll(async () => fault(await ask('listWorkloads', { token }))).toBe('401 attestation_failed')
  })

  it('have no account: no tokens, logins, passwords and releases, also as an admin without a bound', async () => {
    const { token } = await job('root-ci', unboundedAdmin)
    expect(fault(await ask('listOperators', { token }))).toBe('200 ')
    const bodies: Partial<Record<OperationId, object>> = {
      setOperatorPassword: { password: 'seven swans on the lake' },
      confirmTotp: { code: '123456', password: 'seven swans on the lake' },
    }
    const before = await stored(purser)
    const operations = loadOpenApi().operations.filter(
      ({ permission }) => isOperatorPermission(permission) && needsPerson(permission),
    )
    expect(operations.length).toBeGreaterThan(8)
    for (const { method, path, operationId } of operations) {
      const body = bodies[operationId] ?? (method === 'POST' ? {} : undefined)
      const filled = path.replace(/\{\w+\}/, path.includes('operators') ? 'admin' : 'tok_1')
      const answer = await purser.call(method, filled, body, { token, headers: { 'purser-reason': 'a try' } })
      const isValid = answer.status !== 400
      expect(answer.body.code, `${operationId} ${answer.text}`).toBe(isValid ? 'forbidden' : 'invalid_request')
      if (!isValid) continue
      expect(answer.text).toContain('an operator with an account must')
      expect(await entryFor(purser, answer)).toMatchObject({
        outcome: 'refused',
        reason: 'forbidden',
        actor: { kind: 'workload', spiffeId: 'spiffe://example.org/lab/root-ci', operatorRole: 'admin' },
      })
    }
    expect(await stored(purser)).toEqual(before)
  })

  it('widen no entry, and create none for later: their own, another, by enabling it or by a join token', async () => {
    const { token } = await job('self-ci', unboundedAdmin)
    const refused = { token, ifMatch: 1 }
    const wider = pipeline('self-ci', unboundedAdmin, { match: { 'oidc:aud': 'https://purser.example.org' } })
    for (const body of [wider, pipeline('self-ci', unboundedAdmin)]) {
      const answer = await ask('replaceWorkload', { ...refused, name: 'self-ci', body })
      expect(fault(answer)).toBe('403 forbidden /grants/operator/role')
    }
    const auditorEntry = pipeline('next-ci', { role: 'auditor', bound: {} })
    expect(fault(await ask('createWorkload', { body: auditorEntry, token }))).toBe(
      '403 forbidden /grants/operator/role',
    )
    expect(fault(await ask('createWorkload', { body: auditorEntry }))).toBe('201 ')
    expect(fault(await ask('disableWorkload', { name: 'next-ci', token }))).toBe('200 ')
    expect(fault(await ask('enableWorkload', { name: 'next-ci', token }))).toBe('403 forbidden /path/name')
    const host = joined('host-ci', { operator: { role: 'auditor', bound: {} } })
    expect(fault(await ask('createWorkload', { body: host }))).toBe('201 ')
    expect(fault(await ask('createJoinToken', { body: { workload: 'host-ci' }, token }))).toBe('403 forbidden /workload') // prettier-ignore
    expect(fault(await ask('createWorkload', { body: joined('plain'), token }))).toBe('201 ')
    expect(fault(await ask('createJoinToken', { body: { workload: 'plain' }, token }))).toBe('201 ')
  })

  it.each(['operator', 'auditor', 'admin'] as const)('may what their role may: %s', async (role) => {
    const { token } = await job(`role-${role}`, { role, bound: 'everything' })
    const reads = {
      listWorkloads: 'workloads.read',
      listOperators: 'operators.read',
      searchEntries: 'audit.read',
      listKeys: 'keys.read',
    } as const
    for (const [operation, permission] of Object.entries(reads) as [keyof typeof reads, (typeof reads)[keyof typeof reads]][]) // prettier-ignore
      expect(fault(await ask(operation, { token })), operation).toBe(roleMay(role, permission) ? '200 ' : '403 forbidden') // prettier-ignore
    const created = await ask('createOperator', { body: { name: `by-${role}`, role: 'auditor' }, token })
    expect(fault(created)).toBe(role === 'admin' ? '201 ' : '403 forbidden')
    const entry = await ask('createWorkload', { body: joined(`by-${role}`), token })
    expect(fault(entry)).toBe(role === 'auditor' ? '403 forbidden' : '201 ')
  })

  it('stay within each member of their bound', async () => {
    const { token } = await job('bounded-ci', { role: 'admin', bound })
    const within = {
      name: 'shop-web',
      attestor: 'lab',
      match: { 'oidc:sub': 'shop-web' },
      spiffeId: 'spiffe://example.org/lab/shop/web',
      grants: {
        x509: { dnsNames: ['web.shop.svc'] },
        jwt: { audiences: ['payments'] },
        secrets: [{ paths: ['prod/shop/**'], actions: ['read'] }],
        databases: ['orders'],
      },
    }
    const outside: [string, object][] = [
      ['422 impossible /attestor', { attestor: 'join', match: undefined }],
      ['422 impossible /name', { name: 'web-2' }],
      ['403 forbidden /spiffeId', { spiffeId: 'spiffe://example.org/lab/web-2' }],
      ['403 forbidden /grants/secrets/0/paths/0', { grants: { secrets: [{ paths: ['prod/**'], actions: ['read'] }] } }],
      ['403 forbidden /grants/jwt/audiences/0', { grants: { jwt: { audiences: ['cloud'] } } }],
      ['403 forbidden /grants/x509/dnsNames/0', { grants: { x509: { dnsNames: ['web.lab'] } } }],
      ['403 forbidden /grants/databases/0', { grants: { databases: ['payroll'] } }],
    ]
    for (const [refusal, more] of outside)
      expect(fault(await ask('createWorkload', { body: { ...within, ...more }, token })), refusal).toBe(refusal)
    expect(fault(await ask('createWorkload', { body: within, token }))).toBe('201 ')
    expect(fault(await ask('putSecret', { name: 'prod/other/a', body: { data: { value: 'x' } }, ifMatch: 0, token }))).toBe('404 not_found') // prettier-ignore
    expect(fault(await ask('putSecret', { name: 'prod/shop/a', body: { data: { value: 'x' } }, ifMatch: 0, token }))).toBe('201 ') // prettier-ignore
    const listing = await ask('listWorkloads', { token })
    expect((listing.body.items as { name: string }[]).every(({ name }) => name.startsWith('shop-'))).toBe(true)
    expect((await ask('listOperators', { token })).body.items).not.toEqual(
      expect.arrayContaining([expect.objectContaining({ name: 'admin' })]),
    )
    expect(fault(await ask('getWorkload', { name: 'web', token }))).toBe('404 not_found')
    for (const operation of ['exportEntries', 'getMetrics'] as const)
      expect(fault(await ask(operation, { token })), operation).toBe('403 forbidden')
  })

  it('call only the routes that they are granted', async () => {
    const { token } = await job('routed-ci', { ...unboundedAdmin, routes: ['GET /api/v1/workloads'] })
    expect(fault(await ask('listWorkloads', { token }))).toBe('200 ')
    for (const operation of ['listAttestors', 'listOperators', 'searchEntries'] as const) {
      const answer = await ask(operation, { token })
      expect(fault(answer), operation).toBe('403 forbidden')
      expect(answer.text).toContain('this grant is limited to other routes')
    }
  })

  it('act as workloads where their own grants count, so an admin reads no value that its entry does not grant', async () => {
    const secrets = [{ paths: ['ci/deploy'], actions: ['read', 'list'] }]
    const { token } = await job('reader-ci', unboundedAdmin, { grants: { operator: unboundedAdmin, secrets } })
    for (const path of ['ci/deploy', 'ci/other'])
      expect(fault(await ask('putSecret', { name: path, body: { data: { value: 'v' } }, ifMatch: 0, token }))).toBe('201 ') // prettier-ignore
    const read = (path: string) => purser.call('GET', `/api/v1/secrets/${path}`, undefined, { token })
    const value = await read('ci/deploy')
    expect(fault(value)).toBe('200 ')
    expect((await entryFor(purser, value))?.actor.operatorRole).toBeUndefined()
    expect(fault(await read('ci/other'))).toBe('403 not_granted /path/path')
    const listing = await ask('listSecrets', { token })
    expect((listing.body.items as { path: string }[]).map(({ path }) => path)).toEqual(['ci/deploy'])
    expect(fault(await ask('getSecretMetadata', { name: 'ci/other', token }))).toBe('200 ')
  })

  it('are named by their SPIFFE ID in versions, and in the log with the role', async () => {
    const { token, session } = await job('named-ci', { role: 'operator', bound: 'everything' })
    const spiffeId = 'spiffe://example.org/lab/named-ci'
    const put = await ask('putSecret', { name: 'named/a', body: { data: { value: 'v' } }, ifMatch: 0, token })
    const versions = await ask('listSecretVersions', { name: 'named/a' })
    expect((versions.body.items as { createdBy: string }[])[0]?.createdBy).toBe(`workload:${spiffeId}`)
    expect(await entryFor(purser, put)).toMatchObject({
      action: 'secret.put',
      outcome: 'granted',
      actor: { kind: 'workload', spiffeId, session, operatorRole: 'operator' },
    })
    const listing = await ask('listWorkloads', { token })
    expect(await entryFor(purser, listing)).toMatchObject({ action: 'workload.read', actor: { spiffeId } })
    const search = await ask('searchEntries', { query: { spiffeId } })
    const actions = (search.body.items as { entry: { action: string } }[]).map(({ entry }) => entry.action)
    expect(actions).toEqual(expect.arrayContaining(['secret.put', 'workload.read', 'credentials.issue']))
    // Its requests as an operator are for readers of the log, and no business of explain.
    const requestId = String(listing.headers.get('purser-request-id'))
    expect(fault(await ask('explainWorkload', { body: { requestId } }))).toBe('404 not_found')
    expect((await ask('whoAmI', { token })).body).toMatchObject({ kind: 'workload', spiffeId, role: 'operator' })
  })

  it('end with their session, their entry, their grant, and a block', async () => {
    const works = (token: string) => ask('listWorkloads', { token }).then(fault)
    const endedJob = await job('ended-ci', unboundedAdmin)
    expect(fault(await ask('endSession', { token: endedJob.token }))).toBe('204 ')
    expect(await works(endedJob.token)).toBe('401 token_type')
    const disabled = await job('disabled-ci', unboundedAdmin)
    await ask('disableWorkload', { name: 'disabled-ci' })
    expect(await works(disabled.token)).toBe('401 token_type')
    const stripped = await job('stripped-ci', unboundedAdmin)
    await ask('replaceWorkload', { name: 'stripped-ci', body: pipeline('stripped-ci', undefined), ifMatch: 1 })
    expect(await works(stripped.token)).toBe('401 token_type')
    const demoted = await job('demoted-ci', unboundedAdmin)
    await ask('replaceWorkload', {
      name: 'demoted-ci',
      body: pipeline('demoted-ci', { role: 'auditor', bound: {} }),
      ifMatch: 1,
    })
    expect((await ask('listWorkloads', { token: demoted.token })).body.items).toEqual([])
    expect(fault(await ask('createWorkload', { body: joined('demoted'), token: demoted.token }))).toBe('403 forbidden')
  })

  it('release no block, of their own or another, and are refused while contained', async () => {
    const first = await job('contained-ci', unboundedAdmin)
    const second = await startJob(purser, issuer, 'contained-ci')
    const containment = await ask('createContainment', {
      body: { match: { session: first.session }, rotate: false },
      reason: 'a leak',
    })
    expect([201, 202]).toContain(containment.status)
    expect(fault(await ask('listWorkloads', { token: first.token }))).toBe('401 token_type')
    const name = String(containment.body.id)
    const release = await ask('releaseContainment', { name, token: second.token, reason: 'all is well' })
    expect(fault(release)).toBe('403 forbidden')
    const revocation = await ask('createRevocation', {
      body: { spiffeId: 'spiffe://example.org/lab/contained-ci' },
      reason: 'a leak',
    })
    expect(fault(await ask('listWorkloads', { token: second.token }))).toBe('401 token_type')
    const other = await job('helpful-ci', unboundedAdmin)
    for (const [operation, id] of [
      ['releaseRevocation', revocation.body.id],
      ['releaseContainment', name],
    ] as const) {
      const answer = await ask(operation, { name: String(id), token: other.token, reason: 'all is well' })
      expect(fault(answer), operation).toBe('403 forbidden')
    }
    // What it changed is in the findings of a containment.
    const changer = await job('changer-ci', unboundedAdmin)
    expect(fault(await ask('createWorkload', { body: joined('changed'), token: changer.token }))).toBe('201 ')
    const creation = await ask('createContainment', {
      body: { match: { spiffeId: 'spiffe://example.org/lab/changer-ci' }, rotate: false },
      reason: 'a leak',
    })
    const state = () => ask('getContainment', { name: String(creation.body.id) })
    await expect.poll(async () => (await state()).text, { timeout: 4000 }).toContain('workload/changed')
  })

  it('repeat a request under its key, each session its own', async () => {
    const { token } = await job('again-ci', unboundedAdmin)
    const request = { body: joined('again'), idempotencyKey: 'k1', token }
    const first = await ask('createWorkload', request)
    const repeat = await ask('createWorkload', request)
    expect([fault(first), fault(repeat)]).toEqual(['201 ', '201 '])
    expect(repeat.body.id).toBe(first.body.id)
    const other = await startJob(purser, issuer, 'again-ci')
    expect(fault(await ask('createWorkload', { ...request, token: other.token }))).toBe('409 already_exists')
  })

  it('page lists with a cursor of their own session', async () => {
    const { token } = await job('pages-ci', unboundedAdmin)
    const page = await ask('listWorkloads', { token, query: { limit: '1' } })
    const cursor = String(page.body.nextCursor)
    expect(fault(await ask('listWorkloads', { token, query: { limit: '1', cursor } }))).toBe('200 ')
    const other = await startJob(purser, issuer, 'pages-ci')
    expect(fault(await ask('listWorkloads', { token: other.token, query: { limit: '1', cursor } }))).toBe('400 bad_cursor') // prettier-ignore
  })

  it('warn where many could act as an operator', async () => {
    const github = {
      name: 'github',
      kind: 'oidc',
      preset: 'github-actions',
      audience: 'https://purser.example.org',
      keys: { jwks: { keys: [issuer.jwk] } },
    }
    expect(fault(await ask('createAttestor', { body: github }))).toBe('201 ')
    const match = { 'github:repository-id': '1', 'github:ref': 'refs/heads/main' }
    const body = (name: string, more: object) => ({
      name,
      attestor: 'github',
      match: { ...match, ...more },
      spiffeId: `spiffe://example.org/github/${name}`,
      grants: { operator: { role: 'admin', bound: 'everything' } },
    })
    const warnings = async (name: string, more: object) => {
      const answer = await ask('createWorkload', { body: body(name, more) })
      return (answer.body.warnings as { code: string }[]).map(({ code }) => code).filter((code) => code !== 'overlaps')
    }
    expect(await warnings('gh-any', {})).toEqual(['operator_wide'])
    expect(await warnings('gh-protected', { 'github:ref-protected': 'true' })).toEqual([])
    expect(await warnings('gh-environment', { 'github:environment': 'production' })).toEqual([])
  })

  it('leave each request in the log', async () => {
    const entries = await readLog(purser)
    const acted = entries.filter(({ actor }) => actor.operatorRole !== undefined)
    expect(acted.length).toBeGreaterThan(40)
    expect(acted.every(({ actor }) => actor.kind === 'workload' && actor.session && actor.spiffeId)).toBe(true)
  })
})

describe('a client certificate', () => {
  let purser: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ tls: true })
  })
  afterAll(() => purser.stop())

  it('counts like the access token of its workload, where the entry grants it', async () => {
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    const ask = createAsk(purser)
    const client = await attest(purser, issuer)
    const list = () => purser.call('GET', '/api/v1/workloads', undefined, { client })
    expect(fault(await list())).toBe('401 unauthenticated')
    const body = pipeline('web', { role: 'operator', bound: { attestors: ['lab'], spiffeIdPrefix: '/lab/' } })
    expect(fault(await ask('replaceWorkload', { name: 'web', body, ifMatch: 1 }))).toBe('200 ')
    await expect.poll(async () => fault(await list())).toBe('200 ')
    expect((await list()).text).toContain('"web"')
    const create = await purser.call('POST', '/api/v1/operators', { name: 'x', role: 'admin' }, { client })
    expect(fault(create)).toBe('403 forbidden')
    expect(await entryFor(purser, create)).toMatchObject({ actor: { operatorRole: 'operator' } })
    await ask('disableWorkload', { name: 'web' })
    expect(fault(await list())).toBe('401 unauthenticated')
  })
})
