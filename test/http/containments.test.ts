/** Withdraws what a leaked workload has: block, revocation, rotation, release. */
import { createCsr } from '@purser/sdk/csr'
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { createContain } from '../support/contain.ts'
import { type Pods, createPods } from '../support/consumers.ts'
import { type Ask, createAsk, entriesOf, entryOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const shop = 'spiffe://example.org/lab/shop'
const rotator = { kind: 'generated', fields: { password: { length: 32, alphabet: 'alphanumeric' } } }
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

describe.each(frontDoorStores)('a containment (%s)', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let ask: Ask
  let pods: Pods
  let tools: ReturnType<typeof createContain>
  let count = 0
  let pod: string

  const names = Array.from({ length: 20 }, (_, n) => `pod-${n}`)
  beforeAll(async () => {
    purser = await startPurser({ store, now: clock.now, env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: '6000' } })
    ask = createAsk(purser)
    pods = await createPods(purser, clock, names, {
      grants: {
        x509: {},
        jwt: { audiences: ['payments'] },
        secrets: [{ paths: ['prod/**'], actions: ['read', 'list', 'watch'] }],
      },
    })
    tools = createContain(purser, ask, clock)
    for (const path of ['prod/db', 'prod/license']) {
      await ask('putSecret', { name: path, body: { data: { password: 'first-password' } }, ifMatch: 0 })
    }
    await ask('putRotationPolicy', { name: 'prod/db', body: { rotator, onDeadline: 'hold' }, ifMatch: 0 })
  })
  beforeEach(() => void (pod = names[count++] ?? ''))
  afterAll(() => purser.stop())

  async function attest(sub: string, more: object = {}): Promise<Answer> {
    const iat = clock.seconds()
    const token = await pods.issuer.token({ sub, jti: sub, iat, exp: iat + 600 })
    return purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token }, ...more })
  }
  const request = { x509: { csr: createCsr(privateKey) }, jwts: [{ audience: ['payments'] }], accessToken: {} }
  async function arrive(sub: string): Promise<{ session: string; token: string; jwt: string; jti: string }> {
    const { status, body, text } = await attest(sub, request)
    if (status !== 200) throw new Error(text)
    const [jwt] = body['jwts'] as { token: string; jti: string }[]
    return {
      session: (body['session'] as { id: string }).id,
      token: (body['accessToken'] as { token: string }).token,
      jwt: jwt?.token ?? '',
      jti: jwt?.jti ?? '',
    }
  }
  const reasonOf = async (answer: Answer): Promise<unknown> =>
    answer.status === 200 ? 'granted' : (await entryOf(purser, answer))?.reason
  const isActive = async (token: string) => (await ask('introspectToken', { body: { token } })).body.active
  const read = (path: string, token: string) => purser.call('GET', `/api/v1/secrets/${path}`, undefined, { token })

  it('requires a known subject and a reason', async () => {
    expect(fault(await tools.attempt({}))).toMatch(/^400 invalid_request/)
    expect(fault(await tools.attempt({ match: {} }))).toMatch(/^400 invalid_request/)
    expect(fault(await tools.attempt({ match: { spiffeId: shop, operator: 'admin' } }))).toMatch(/^400 invalid_request/)
    expect(fault(await tools.attempt({ match: { selectors: { 'oidc:sub': pod } } }))).toMatch(/^400 invalid_request/)
    expect(fault(await tools.attempt({ match: { spiffeId: shop } }, { reason: undefined }))).toBe(
      '400 invalid_request /header/Purser-Reason',
    )
    const unknown = [
      { spiffeId: 'spiffe://example.org/lab/nothing' },
      { session: `ses_${'0'.repeat(32)}` },
      { serialNumber: '01'.repeat(16) },
      { attestor: 'nowhere' },
      { attestor: 'lab', selectors: { 'oidc:sub': 'nobody' } },
      { tokenId: 'tok_nobody' },
      { operator: 'nobody' },
    ]
    for (const match of unknown)
      for (const dryRun of [true, false]) expect(fault(await tools.attempt({ match, dryRun }))).toBe('404 not_found')
    expect(fault(await tools.attempt({ match: { operator: 'admin' } }))).toBe('409 conflict')
    const { token } = await arrive(pod)
    expect(fault(await tools.attempt({ match: { spiffeId: shop } }, { token }))).toBe('401 token_type')
    expect(fault(await ask('getContainment', { name: `con_${'0'.repeat(32)}` }))).toBe('404 not_found')
  })

  it('shows its effects in a dry run, and changes nothing', async () => {
    const { session, token } = await arrive(pod)
    await read('prod/db', token)
    await read('prod/license', token)
    const before = await purser.knex('log_head').first('revision')
    const answer = await tools.attempt({ match: { session }, dryRun: true })
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({
      state: 'planned',
      blocks: 'instance',
      revoked: { certificates: 1, jwts: 1, accessTokens: 1, sessions: 1, apiTokens: 0 },
      reachable: { secrets: ['prod/**'], audiences: ['payments'], databases: [] },
      rotating: [{ path: 'prod/db', versions: [1], state: 'planned' }],
      needsHands: [{ kind: 'secret', name: 'prod/license' }],
    })
    expect(answer.body.id).toBeUndefined()
    expect(await entryOf(purser, answer)).toMatchObject({
      action: 'containment.create',
      actor: { operator: 'admin', note: 'incident 42' },
      detail: { dryRun: true, match: { session } },
    })
    expect(await purser.knex('log_head').first('revision')).toEqual(before)
    expect(await purser.knex('containment').count({ n: '*' })).toEqual([{ n: '0' }])
    expect((await read('prod/db', token)).status).toBe(200)
  })

  it('blocks, revokes and rotates, and its entries prove each step', async () => {
    const { session, token, jwt, jti } = await arrive(pod)
    await read('prod/db', token)
    await read('prod/license', token)
    const { id, cut, requestId, ...first } = await tools.contain({ session })
    expect(first).toMatchObject({
      state: 'rotating',
      blocks: 'instance',
      revoked: { certificates: 1, jwts: 1, accessTokens: 1, sessions: 1, apiTokens: 0 },
      rotating: [{ path: 'prod/db', versions: [1] }],
      needsHands: [{ kind: 'secret', name: 'prod/license' }],
    })
    expect(first.outOfReach).toEqual([
      { serialNumber: expect.any(String), until: expect.any(String) },
      { jwt: jti, audience: 'payments', until: expect.any(String) },
    ])
    expect((await read('prod/db', token)).status).toBe(401)
    expect(await isActive(jwt)).toBe(false)
    expect(await reasonOf(await attest(pod))).toBe('blocked')

    expect(await tools.settled(id)).toMatchObject({ state: 'contained', rotating: [{ state: 'retired' }] })
    const entries = await entriesOf(purser, requestId)
    expect(entries.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      'containment.create granted',
      'containment.revoke granted',
      'secret.rotate intended',
      'containment.complete completed',
    ])
    expect(entries[0]).toMatchObject({
      resource: { kind: 'containment', id },
      change: { after: { blocks: 'instance' } },
    })
    expect(entries[1]).toMatchObject({ actor: { kind: 'system' }, revoked: { jtis: [jti], sessions: [session] } })
    const all = await readLog(purser)
    expect(all[cut.index]).toEqual(entries[0])
    expect(all.slice(cut.index).some((entry) => entry.actor.session === session && entry.issued)).toBe(false)
  })

  it('keeps its session from holding a rotation', async () => {
    const contained = await arrive(pod)
    await read('prod/db', contained.token)
    await ask('rotateSecret', { name: 'prod/db', body: {} })
    for (let runs = 0; runs < 2; runs++) {
      clock.advance(1)
      await purser.runJobs()
    }
    const waiting = async () => (await ask('getRotation', { name: 'prod/db' })).body
    expect(await waiting()).toMatchObject({ rotation: { state: 'waiting' }, waitingFor: 1 })
    await tools.contain({ session: contained.session }, { rotate: false })
    clock.advance(15)
    await purser.runJobs()
    expect(await waiting()).toMatchObject({ rotation: { state: 'retired' } })
  })

  it('is released once, by an operator with a reason, and only its block', async () => {
    const before = await arrive(pod)
    const { id } = await tools.contain({ session: before.session })
    await tools.settled(id)
    expect(fault(await tools.release(id, { reason: undefined }))).toBe('400 invalid_request /header/Purser-Reason')
    expect(fault(await ask('releaseRevocation', { name: id, reason: 'another route' }))).toBe('404 not_found')
    expect((await ask('listRevocations')).body.items).toEqual([])
    const released = await tools.release(id)
    expect(released.body).toMatchObject({ id, state: 'contained', releasedBy: 'operator:admin' })
    expect(await entryOf(purser, released)).toMatchObject({
      action: 'containment.release',
      change: { after: { released: { instance: 1 } } },
    })
    expect(fault(await tools.release(id))).toBe('404 not_found')
    expect([await isActive(before.jwt), await isActive(before.token)]).toEqual([false, false])
    expect((await arrive(pod)).session).not.toBe(before.session)
  })

  it('by selectors refuses every instance that has them all, and no other', async () => {
    const other = names[19] ?? ''
    await arrive(pod)
    const match = { attestor: 'lab', selectors: { 'oidc:sub': pod } }
    const { id, blocks, revoked } = await tools.contain(match)
    expect([blocks, revoked['sessions']]).toEqual(['selectors', 1])
    expect(await reasonOf(await attest(pod))).toBe('blocked')
    expect(await reasonOf(await attest(other))).toBe('granted')
    const refused = await purser.call('DELETE', '/api/v1/attestors/lab', undefined, {
      token: purser.admin,
      headers: { 'if-match': '"1"' },
    })
    expect(fault(refused)).toBe('409 in_use')
    await tools.release(id)
    expect(await reasonOf(await attest(pod))).toBe('granted')
  })

  it('by attestor and by SPIFFE ID ends every session, and includes reads by an access token', async () => {
    for (const match of [{ attestor: 'lab' }, { spiffeId: shop }]) {
      const first = await arrive(pod)
      await read('prod/db', first.token)
      const { id, rotating } = await tools.contain(match)
      expect(rotating).toMatchObject([{ path: 'prod/db' }])
      expect(await isActive(first.token)).toBe(false)
      expect(await reasonOf(await attest(pod))).toBe('blocked')
      await tools.settled(id)
      await tools.release(id)
    }
  })

  it.each([
    ['an attestor', () => ({ attestor: 'lab' })],
    ['selectors', () => ({ attestor: 'lab', selectors: { 'oidc:sub': pod } })],
  ])('of %s refuses pending decisions at the cut, and revokes earlier grants', async (_, matchOf) => {
    const knock = async (): Promise<void> => {
      for (let refused = 0; refused < 3;) if ((await attest(pod, { accessToken: {} })).status !== 200) refused++
    }
    const callers = Promise.all(Array.from({ length: 8 }, knock))
    await arrive(pod)
    const { id, cut } = await tools.contain(matchOf(), { rotate: false })
    await callers
    const log = await readLog(purser)
    const granted = (from: number, to?: number) =>
      log.slice(from, to).filter(({ actor, issued }) => actor.selectors?.['oidc:sub'] === pod && issued)
    expect(granted(cut.index)).toEqual([])
    const names = granted(0, cut.index).flatMap(({ issued }) => issued?.accessToken?.id ?? [])
    const revoked = new Set(log.flatMap((entry) => entry.revoked?.accessTokens ?? []))
    expect(names.length).toBeGreaterThan(0)
    expect(names.filter((name) => !revoked.has(name))).toEqual([])
    await tools.release(id)
  })

  it('since a time spares what is older, and names the sessions that the block affects as well', async () => {
    const first = await arrive(pod)
    clock.advance(60)
    const last = await arrive(names[18] ?? '')
    const since = clock.now().toISOString()
    const { id, alsoAffected, revoked } = await tools.contain({ spiffeId: shop }, { since })
    expect(revoked).toMatchObject({ sessions: 1, certificates: 1 })
    expect(alsoAffected.sessions).toContain(first.session)
    expect([await isActive(first.token), await isActive(last.token)]).toEqual([false, false])
    await tools.release(id)
    expect([await isActive(first.token), await isActive(last.token)]).toEqual([true, false])
  })

  it('repeats a request with the same key', async () => {
    const { session } = await arrive(pod)
    clock.advance(1)
    const body = { match: { session } }
    const first = await tools.attempt(body, { idempotencyKey: 'incident-42' })
    const repeat = await tools.attempt(body, { idempotencyKey: 'incident-42' })
    expect([repeat.status, repeat.body.id]).toEqual([201, first.body.id])
    expect(repeat.headers.get('purser-log-index')).toBe(first.headers.get('purser-log-index'))
    expect(fault(await tools.attempt({ match: { spiffeId: shop } }, { idempotencyKey: 'incident-42' }))).toMatch(/^4/)
    const { items } = (await ask('listContainments')).body as { items: { id: string; match: object }[] }
    expect(items[0]).toMatchObject({ id: first.body.id, match: { session } })
  })
})
