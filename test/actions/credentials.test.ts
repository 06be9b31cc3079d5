import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialRequest } from '../../src/actions/credentials/issue.ts'
import { createIdentify } from '../../src/actions/sessions/identify.ts'
import type { Permission } from '../../src/operators/permissions.ts'
import { type TestActions, openActions } from '../support/actions.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { audience } from '../support/purser.ts'

const spiffeId = 'spiffe://example.org/lab/web'

describe('credential actions without HTTP', () => {
  let purser: TestActions
  let issuer: Issuer

  beforeAll(async () => {
    purser = await openActions()
    issuer = await createIssuer()
    const { attestors, workloads } = purser.actions
    const context = purser.context()
    const keys = { jwks: { keys: [issuer.jwk] } }
    await purser.change('attestor.create', context, (tx, snapshot) =>
      attestors.create(context, tx, snapshot, { name: 'lab', kind: 'oidc', issuer: issuer.issuer, audience, keys }),
    )
    await purser.change('workload.create', context, (tx, snapshot) =>
      workloads.create(context, tx, snapshot, {
        name: 'web',
        attestor: 'lab',
        match: { 'oidc:sub': 'web' },
        spiffeId,
        grants: { x509: {}, jwt: { audiences: ['payments'] }, secrets: [{ paths: ['prod/**'], actions: ['watch'] }] },
      }),
    )
  })
  afterAll(() => purser.stop())

  async function issue(request: Omit<CredentialRequest, 'proof'>) {
    const context = purser.context({ caller: { kind: 'anonymous' } })
    const proof = { kind: 'jwt' as const, token: await issuer.token() }
    return purser.issue('credentials.issue', context, (snapshot, hints) =>
      purser.actions.credentials.issue(context, snapshot, hints, { proof, ...request }),
    )
  }

  async function identify(token: string, permission: Exclude<Permission, 'none' | 'login'>) {
    const bootstrapTries = { admit: () => Promise.reject(new Error('no bootstrap token is presented')) }
    const identifyCaller = createIdentify({
      hasMapping: () => false,
      sessions: purser.actions.sessions.find,
      bootstrapTries,
    })
    const requirement = {
      permission,
      route: 'GET /api/v1/credentials/self',
      acceptsApiTokens: true,
      mayUseCache: false,
    }
    return identifyCaller({ token, certificate: () => undefined }, requirement, purser.snapshot(), purser.now())
  }

  it('issues a certificate and a JWT, and records them with the workload', async () => {
    const { result, entry } = await issue({ x509: { generateKey: 'EC-P256' }, jwts: [{ audience: ['payments'] }] })
    expect(result).toMatchObject({ workload: { name: 'web' }, grant: { spiffeId }, repeated: false })
    expect(result.x509?.certificateChain).toContain('BEGIN CERTIFICATE')
    expect(entry).toMatchObject({
      action: 'credentials.issue',
      outcome: 'granted',
      actor: { kind: 'workload', spiffeId, session: result.session.id },
      issued: { jwts: [{ audience: ['payments'] }] },
    })
    expect(JSON.stringify(entry)).not.toContain(result.jwts?.[0]?.token)
  })

  it('issues nothing if one part is not granted', async () => {
    const refused = issue({ x509: { generateKey: 'EC-P256' }, jwts: [{ audience: ['cloud'] }] })
    await expect(refused).rejects.toMatchObject({ code: 'not_granted' })
  })

  it('explains the grant of selectors', async () => {
    const context = purser.context()
    const { result, entry } = await purser.issue('workload.explain', context, (snapshot) =>
      purser.actions.workloads.explain(context, snapshot, { attestor: 'lab', selectors: { 'oidc:sub': 'web' } }),
    )
    expect(result).toMatchObject({ outcome: 'granted', decision: { grant: { spiffeId } } })
    expect(entry).toMatchObject({ action: 'workload.explain', outcome: 'granted' })
  })

  it('identifies the session of an access token until it is ended', async () => {
    const { sessions } = purser.actions
    const { result } = await issue({ accessToken: {} })
    const token = result.accessToken?.token ?? ''
    const caller = await identify(token, 'self')
    if (caller?.kind !== 'session') throw new Error('the token identifies no session')
    expect(caller.session).toMatchObject({ id: result.session.id, spiffeId })
    expect(sessions.self(caller, purser.snapshot())).toMatchObject({ kind: 'workload', workload: { name: 'web' } })
    await expect(identify(token, 'workloads.read')).rejects.toMatchObject({ code: 'token_type' })

    const context = purser.context({ caller })
    const { entry } = await purser.change('session.end', context, (tx) => sessions.end(context, tx))
    expect(entry).toMatchObject({ action: 'session.end', resource: { kind: 'session', id: result.session.id } })
    expect(await identify(token, 'self')).toBeUndefined()
  })

  it('opens a watch for the session of an access token', async () => {
    const { watch, secrets } = purser.actions
    const { result } = await issue({ accessToken: {} })
    const caller = await identify(result.accessToken?.token ?? '', 'granted:secrets.read')
    if (!caller) throw new Error('the token identifies no session')
    const context = purser.context({ caller })
    const open = (query: { paths: string[]; prefix?: string }) =>
      purser.issue('secret.watch', context, (snapshot) => watch.open(context, snapshot, query))
    await expect(open({ paths: ['dev/db'] })).rejects.toMatchObject({ code: 'not_granted' })

    const opened = await open({ paths: ['prod/db'] })
    expect(opened.entry).toMatchObject({ action: 'secret.watch', detail: { unknown: 1 } })
    const batches = opened.result.events[Symbol.asyncIterator]()
    expect((await batches.next()).value).toEqual([{ kind: 'greeting' }])
    expect((await batches.next()).value).toMatchObject([
      { kind: 'bundle' },
      { kind: 'secret', path: 'prod/db' },
      { kind: 'synced', complete: true },
    ])
    expect(watch.isWatching(result.session.id, 'prod/db')).toBe(true)

    const operator = purser.context()
    const next = batches.next()
    await purser.issue('secret.put', operator, (_, hints) =>
      secrets.put(operator, { path: 'prod/db', expected: 0, data: { password: 'first' } }, hints),
    )
    expect((await next).value).toMatchObject([{ kind: 'secret', path: 'prod/db', live: { version: 1 } }])
    const end = batches.next()
    watch.close()
    expect((await end).done).toBe(true)
    expect(watch.isWatching(result.session.id, 'prod/db')).toBe(false)
  })
})
