import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedDatabases } from '../../src/actions/leases/issue.ts'
import type { Caller } from '../../src/authorize/caller.ts'
import { decide } from '../../src/authorize/decide.ts'
import type { SessionRow } from '../../src/store/effects.ts'
import { beginRevoking } from '../../src/store/lease-ends.ts'
import { type LeaseRow, leaseById } from '../../src/store/leases.ts'
import { insertAttestor, insertWorkload } from '../../src/store/registrations.ts'
import { type TestActions, openActions } from '../support/actions.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

const attestor = {
  id: 'att_lab',
  name: 'lab',
  kind: 'oidc',
  spiffeIdPrefix: '/lab/',
  definition: {},
  revision: 1,
}
const workload = {
  id: 'wl_shop',
  name: 'shop',
  attestorId: attestor.id,
  definition: {
    match: { 'oidc:sub': 'shop' },
    spiffeId: 'spiffe://example.org/lab/shop',
    grants: { databases: ['orders'] },
  },
  disabled: false,
  revision: 1,
}
const selectors = { 'oidc:sub': 'shop' }

describe('lease actions without HTTP', () => {
  let target: TargetServer
  let purser: TestActions
  let session: SessionRow
  /** Milliseconds by which each reading advances Purser's clock. */
  let secondHand = 0
  let ahead = 0

  beforeAll(async () => {
    target = await startTarget()
    purser = await openActions({ now: () => new Date(Date.now() + (ahead += secondHand)) })
    session = {
      id: `ses_${randomBytes(16).toString('hex')}`,
      instance: randomBytes(32),
      entryKeyed: false,
      generation: 0,
      workloadId: workload.id,
      attestorId: attestor.id,
      spiffeId: workload.definition.spiffeId,
      selectors,
      expiresAt: new Date(purser.now().getTime() + 3600_000),
    }
    const context = purser.context()
    await purser.change('database.create', context, (tx, snapshot) =>
      purser.actions.databases.create(context, tx, snapshot, {
        name: 'orders',
        kind: 'postgres',
        host: target.host,
        port: target.port,
        database: target.database,
        tls: { insecure: true },
        admin: target.admin,
        roles: { grants: [{ schema: 'shop', objects: 'tables', privileges: ['select'] }] },
        defaultLifetimeSeconds: 600,
      }),
    )
    await purser.change('workload.create', context, async (tx) => {
      await insertAttestor(tx, attestor)
      await insertWorkload(tx, workload)
      const changed = [
        { table: 'attestor' as const, where: { id: attestor.id } },
        { table: 'workload' as const, where: { id: workload.id } },
      ]
      return { result: undefined, entry: {}, changed }
    })
  })
  afterAll(async () => {
    await purser?.stop()
    await target.stop()
  })

  const holder = (): Caller => ({
    kind: 'session',
    session: { ...session, facts: 0 },
    credential: { accessToken: 'at_test' },
    until: session.expiresAt,
  })

  /** Issues a role, with the entry that opens the session. */
  async function issue(): Promise<IssuedDatabases['values'][number]> {
    const context = purser.context({ caller: holder() })
    const { result } = await purser.issue('credentials.issue', context, async (snapshot) => {
      const decision = decide(snapshot, { attestor, selectors })
      const request = { names: ['orders'], decision, session, actor: { kind: 'workload' as const } }
      const issued = await purser.actions.leases.issue(context, snapshot, request)
      if (!issued) throw new Error('no database was issued')
      const { values, record, ids, undo, holds } = issued
      return { result: values, entry: { issued: { leases: record } }, effects: { session, leases: ids }, undo, holds }
    })
    const [role] = result
    if (!role) throw new Error('no role was issued')
    return role
  }

  it('issues a role that its server accepts', async () => {
    const { lease, username, password } = await issue()
    await (await target.login(username, password)).end()
    const leases = await purser.actions.leases.list(
      purser.context(),
      purser.snapshot(),
      { database: 'orders' },
      { after: '', max: 10 },
    )
    expect(leases).toMatchObject([{ database: 'orders', lease: { id: lease, state: 'active' } }])
  })

  it('renews a lease of the session that holds it', async () => {
    const { lease } = await issue()
    const context = purser.context({ caller: holder(), time: new Date(purser.now().getTime() + 60_000) })
    const { result, entry } = await purser.act('lease.renew', context, (acting) =>
      purser.actions.leases.renew(context, acting, lease),
    )
    expect(result.lease.expiresAt).toEqual(new Date(context.time.getTime() + 600_000))
    expect(entry).toMatchObject({ action: 'lease.renew', outcome: 'completed', detail: { database: 'orders' } })
  })

  it('revokes a lease and drops its role', async () => {
    const { lease, username, password } = await issue()
    const context = purser.context()
    const { result, entry } = await purser.act('lease.revoke', context, (acting) =>
      purser.actions.leases.revoke(context, acting, lease),
    )
    expect(result).toMatchObject({ database: 'orders', lease: { state: 'revoked' } })
    expect(entry).toMatchObject({ action: 'lease.revoke', detail: { state: 'revoked' } })
    await expect(target.login(username, password)).rejects.toThrow()
  })

  it('leaves roles that a slow server could not drop in time to the next attempt', async () => {
    const roles = [await issue(), await issue(), await issue(), await issue()]
    const ids = roles.map(({ lease }) => lease)
    const rows = async (): Promise<(LeaseRow | undefined)[]> => Promise.all(ids.map((id) => leaseById(purser.knex, id)))
    const context = purser.context()
    await purser.change('lease.revoke', context, async (tx) => ({
      result: undefined,
      entry: {},
      placed: () => beginRevoking(tx, ids, ['active'], { reason: 'revoked', now: context.time }),
    }))
    const revoking = (await rows()).filter((row) => row !== undefined)
    const { requestId, time } = context
    secondHand = 8_000
    const revoked = await purser.revokeRoles(revoking, {
      requestId,
      action: 'lease.revoke',
      time,
      actor: { kind: 'system' },
    })
    secondHand = 0
    // A batch has 20 s, and its third role would begin after 24.
    expect([...revoked].toSorted()).toEqual(ids.slice(0, 2).toSorted())
    const retried = { state: 'revoking', attempts: 1, lastError: 'failed: the server is slow' }
    expect(await rows()).toMatchObject([{ state: 'revoked' }, { state: 'revoked' }, retried, retried])
    for (const { username, password } of roles.slice(2)) await (await target.login(username, password)).end()
    for (const { username, password } of roles.slice(0, 2))
      await expect(target.login(username, password)).rejects.toThrow()
  })

  it('abandons a lease after an attempt that failed', async () => {
    const { lease } = await issue()
    const context = purser.context({ reason: 'a test' })
    const abandon = () =>
      purser.change('lease.abandon', context, (tx, snapshot) =>
        purser.actions.leases.abandon(context, tx, snapshot, lease),
      )
    await expect(abandon()).rejects.toMatchObject({ code: 'conflict' })
    await target.stopHard()
    const { result } = await purser.act('lease.revoke', context, (acting) =>
      purser.actions.leases.revoke(context, acting, lease),
    )
    expect(result).toMatchObject({ lease: { state: 'revoking', attempts: 1 } })
    const abandoned = await abandon()
    expect(abandoned.result).toMatchObject({ lease: { state: 'abandoned' } })
    expect(abandoned.entry).toMatchObject({ action: 'lease.abandon', detail: { database: 'orders', attempts: 1 } })
  })
})
