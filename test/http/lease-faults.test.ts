/** A process or server fails at each step. The result is a lease in a defined state, and no unknown role. */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withConnection } from '../../src/secrets/databases/connect.ts'
import { createRole } from '../../src/secrets/databases/roles.ts'
import { scramVerifier } from '../../src/secrets/databases/scram.ts'
import { createClock } from '../support/clock.ts'
import { audience, startReplica } from '../support/purser.ts'
import { type Shop, createShop, definitionFor, rolesAt, startShop } from '../support/leases.ts'
import { createAsk, entriesOf, fault, readLog } from '../support/operator.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

describe('leases, when something fails', () => {
  let target: TargetServer
  let shop: Shop
  beforeAll(async () => {
    target = await startTarget()
    shop = await startShop(target)
  })
  afterAll(async () => {
    await shop?.purser.stop()
    await target.stop()
  })

  const settle = () => shop.purser.runJobs()
  const knex = () => shop.purser.knex
  /** The search for orphans runs once a minute; this makes it due. */
  const sweepOrphans = async () => {
    await knex()('job_state').where({ name: 'orphan-roles' }).delete()
    await settle()
  }
  const openLeases = async (): Promise<{ id: string; state: string; attempts: number; last_error: string }[]> =>
    knex()('lease').whereNull('ended_at').orderBy('id')
  const prefix = async (): Promise<string> => {
    const { instance_id: id } = await knex()('log_head').first('instance_id')
    return `purser_${createHash('sha256').update(id).digest('hex').slice(0, 8)}_`
  }
  const makeRole = async (username: string) =>
    withConnection({ ...target, tls: { insecure: true } }, target.admin, async (session) =>
      createRole(
        session,
        { grants: [] },
        {
          username,
          verifier: await scramVerifier('not-used', randomBytes),
          expiresAt: new Date(Date.now() + 600_000),
        },
      ),
    )
  const strandLease = async (more: object) => {
    const hex = randomBytes(16).toString('hex')
    const { id } = await knex()('database').where({ name: 'orders' }).first('id')
    const row = {
      id: `ls_${hex}`,
      database_id: id,
      session_id: 'ses_gone',
      workload_id: 'wl_gone',
      spiffe_id: 'spiffe://example.org/gone',
      username: (await prefix()) + hex,
      state: 'intended',
      created_at: new Date(Date.now() - 3600_000),
      expires_at: new Date(Date.now() + 3600_000),
      max_expires_at: new Date(Date.now() + 3600_000),
      ...more,
    }
    await knex()('lease').insert(row)
    return row
  }

  it('answers 503 while the database is down, and stores nothing', async () => {
    await target.stopHard()
    const answer = await shop.attest({ databases: ['orders'], accessToken: {} })
    expect(fault(answer)).toBe('503 unavailable /databases/0')
    expect(answer.body).not.toHaveProperty('accessToken')
    const [lease] = await openLeases()
    // It is unknown whether the role was created, so the job looks for it until the database answers.
    expect(lease).toMatchObject({ state: 'revoking', attempts: 1, last_error: expect.stringContaining('unreachable') })
    await target.start()
    await knex()('lease').update({ next_attempt_at: new Date(0) })
    await settle()
    expect(await openLeases()).toEqual([])
    expect(await rolesAt(target)).toEqual([])
  })

  it('retries without end if the database is down at the end of a lease, and reports it', async () => {
    const { role } = await shop.arrive()
    await target.stopHard()
    const answer = await shop.purser.call('POST', `/api/v1/leases/${role.lease}:revoke`, undefined, {
      token: shop.purser.admin,
    })
    expect([answer.status, answer.body['state']]).toEqual([202, 'revoking'])
    for (let n = 0; n < 10; n++) {
      await knex()('lease')
        .whereNull('ended_at')
        .update({ next_attempt_at: new Date(0) })
      await settle()
    }
    const { body } = await shop.purser.call('GET', '/api/v1/leases?state=revoking', undefined, {
      token: shop.purser.admin,
    })
    const [stuck] = body['items'] as Record<string, unknown>[]
    expect(stuck).toMatchObject({
      id: role.lease,
      irrevocable: true,
      lastError: expect.stringContaining('unreachable'),
    })
    expect(Number(stuck?.['attempts'])).toBeGreaterThanOrEqual(10)
    expect(new Date(String(stuck?.['nextAttemptAt'])).getTime()).toBeGreaterThan(Date.now() + 600_000)
    const metrics = await shop.purser.call('GET', '/metrics', undefined, { token: shop.purser.admin })
    expect(metrics.text).toContain('purser_leases{state="irrevocable"} 1')
    const tries = (await readLog(shop.purser)).filter(
      (entry) => entry.action === 'lease.revoke' && entry.outcome === 'failed',
    )
    expect(tries.length).toBeGreaterThanOrEqual(10)
    await target.start()
    await knex()('lease')
      .whereNull('ended_at')
      .update({ next_attempt_at: new Date(0) })
    await settle()
    expect((await shop.lease(role.lease)).state).toBe('revoked')
    expect(await rolesAt(target)).toEqual([])
    await expect(target.login(role.username, role.password)).rejects.toThrow()
  })

  it.each([
    ['before its role was created', async () => void (await strandLease({}))],
    ['after its role was created', async () => makeRole((await strandLease({})).username)],
    [
      'while its role was being dropped',
      async () => {
        const { username } = await strandLease({
          state: 'revoking',
          next_attempt_at: new Date(0),
          locked_until: new Date(Date.now() - 1),
        })
        await makeRole(username)
        await target.sql(`alter role ${username} nologin`)
      },
    ],
    [
      'after its role was dropped',
      async () => void (await strandLease({ state: 'revoking', next_attempt_at: new Date(0), attempts: 3 })),
    ],
    [
      'after it was issued, with its session never seen again',
      async () => {
        await makeRole((await strandLease({ state: 'active' })).username)
        // Without an event the periodic check of all leases finds it: once a minute, and with a change like this one.
        await shop.purser.asAdmin('POST', '/api/v1/databases', definitionFor(target, { name: 'another' }))
      },
    ],
  ])('drops roles of a replica that died %s', async (_, leave) => {
    await leave()
    await settle()
    expect(await openLeases()).toEqual([])
    expect(await rolesAt(target)).toEqual([])
  })

  it('records a renewal whose replica died as failed, once, and nothing if the lease has ended', async () => {
    const { token, role } = await shop.arrive()
    const renewed = await shop.purser.call('POST', `/api/v1/leases/${role.lease}:renew`, undefined, { token })
    expect(renewed.status).toBe(200)
    expect(await knex()('lease_renewal')).toEqual([])
    const renewal = { lease_id: role.lease, begun_at: new Date(Date.now() - 61_000) }
    await knex()('lease_renewal').insert([
      { ...renewal, id: 'req_died' },
      { ...renewal, id: 'req_at-it', begun_at: new Date() },
    ])
    const before = await shop.lease(role.lease)
    await settle()
    await settle()
    expect(await shop.lease(role.lease)).toEqual(before)
    const renewals = (await readLog(shop.purser)).filter((entry) => entry.action === 'lease.renew')
    expect(renewals.map((entry) => entry.outcome)).toEqual(['intended', 'completed', 'failed'])
    expect(renewals[2]?.resource).toMatchObject({ kind: 'lease', id: role.lease })
    expect(await knex()('lease_renewal').pluck('id')).toEqual(['req_at-it'])
    await knex()('lease_renewal').delete()
    await shop.purser.call('POST', `/api/v1/leases/${role.lease}:revoke`, undefined, { token })
    expect(await openLeases()).toEqual([])
  })

  it('leaves leases alone that another replica processes or that were intended just now', async () => {
    const fresh = await strandLease({ created_at: new Date() })
    const busy = await strandLease({
      state: 'revoking',
      next_attempt_at: new Date(0),
      locked_until: new Date(Date.now() + 60_000),
    })
    await settle()
    expect((await openLeases()).map((lease) => lease.state).toSorted()).toEqual(['intended', 'revoking'])
    await knex()('lease')
      .whereIn('id', [fresh.id, busy.id])
      .update({ created_at: new Date(0), locked_until: null })
    await settle()
    expect(await openLeases()).toEqual([])
  })

  it('finds roles without a lease in one sweep, and leaves those of another Purser', async () => {
    const ours = await prefix()
    const orphans = Array.from({ length: 5 }, () => ours + randomBytes(16).toString('hex'))
    for (const name of orphans) await makeRole(name)
    const others = [`purser_00000000_${randomBytes(16).toString('hex')}`, `${ours}other`]
    for (const name of others) await makeRole(name)
    const { role } = await shop.arrive()
    await sweepOrphans()
    expect(await rolesAt(target)).toEqual([...others, role.username].toSorted())
    const log = await readLog(shop.purser)
    const [orphanEntry, ...more] = log.filter((entry) => entry.action === 'lease.orphan')
    expect([more, orphanEntry?.outcome, orphanEntry?.detail]).toMatchObject([
      [],
      'granted',
      { roles: orphans.toSorted() },
    ])
    for (const name of orphans) {
      const revocations = log.filter((entry) => entry.action === 'lease.revoke' && entry.resource?.name === name)
      expect(revocations.map((entry) => entry.outcome)).toEqual(['intended', 'completed'])
    }
    const reply = await createAsk(shop.purser)('listLeases', { query: { state: 'revoked' } })
    const items = reply.body['items'] as { username: string; reason: string; session?: string }[]
    expect(items.filter((item) => orphans.includes(item.username))).toHaveLength(orphans.length)
    expect(items.find((item) => item.username === orphans[0])).not.toHaveProperty('session')
    for (const name of others) await target.sql(`drop role "${name}"`)
    await shop.purser.call('POST', `/api/v1/leases/${role.lease}:revoke`, undefined, { token: shop.purser.admin })
  })

  it('retries to drop a role without a lease until it is gone, and again if it returns', async () => {
    const revokedLease = await strandLease({ state: 'revoked', ended_at: new Date(0), attempts: 3 })
    await makeRole(revokedLease.username)
    const blocker = await target.login('postgres', '')
    await blocker.query('begin')
    await blocker.query('lock table pg_authid in share mode')
    await sweepOrphans()
    expect(await openLeases()).toMatchObject([
      { id: revokedLease.id, state: 'revoking', reason: 'orphan', attempts: 1 },
    ])
    await blocker.query('rollback')
    await blocker.end()
    await knex()('lease')
      .where({ id: revokedLease.id })
      .update({ next_attempt_at: new Date(0) })
    await settle()
    expect(await rolesAt(target)).not.toContain(revokedLease.username)
    await makeRole(revokedLease.username)
    await sweepOrphans()
    expect(await rolesAt(target)).not.toContain(revokedLease.username)
    expect(await shop.lease(revokedLease.id)).toMatchObject({ state: 'revoked', reason: 'orphan', attempts: 0 })
  })

  it('are abandoned by an operator with a reason after a failed attempt, and the role is dropped if its server returns', async () => {
    const ask = createAsk(shop.purser)
    const { role, token } = await shop.arrive()
    const abandon = (reason?: string) => ask('abandonLease', { name: role.lease, ...(reason && { reason }) })
    expect(fault(await abandon())).toBe('400 invalid_request /header/Purser-Reason')
    expect(fault(await abandon('gone'))).toBe('409 conflict')
    expect((await ask('abandonLease', { name: role.lease, reason: 'mine', token })).status).toBe(401)
    expect((await ask('abandonLease', { name: `ls_${'0'.repeat(32)}`, reason: 'gone' })).status).toBe(404)
    await target.stopHard()
    expect((await ask('revokeLease', { name: role.lease })).status).toBe(202)
    const done = await abandon('the server burnt down')
    expect(done.body).toMatchObject({ state: 'abandoned', reason: 'abandoned' })
    const [entry] = await entriesOf(shop.purser, done.headers.get('purser-request-id'))
    expect(entry).toMatchObject({
      action: 'lease.abandon',
      actor: { note: 'the server burnt down' },
      resource: { id: role.lease, name: role.username },
      detail: { attempts: 1, lastError: expect.stringContaining('unreachable') },
    })
    expect(fault(await abandon('again'))).toBe('409 conflict')
    expect(fault(await ask('revokeLease', { name: role.lease }))).toBe('409 conflict')
    await target.start()
    expect(await rolesAt(target)).toContain(role.username)
    await sweepOrphans()
    expect(await rolesAt(target)).not.toContain(role.username)
    expect((await shop.lease(role.lease)).state).toBe('revoked')
  })

  it('drops the roles of a request that loses its claim', async () => {
    await shop.purser.asAdmin('POST', '/api/v1/attestors', {
      name: 'once',
      kind: 'oidc',
      issuer: 'https://once.lab.example',
      audience,
      keys: { jwks: { keys: [shop.issuer.jwk] } },
      singleUse: true,
    })
    await shop.purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'job',
      attestor: 'once',
      match: { 'oidc:sub': 'job' },
      spiffeId: 'spiffe://example.org/once/job',
      grants: { databases: ['orders'] },
    })
    const token = await shop.issuer.token({ iss: 'https://once.lab.example', sub: 'job' })
    const ask = () =>
      shop.purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token }, databases: ['orders'] })
    const answers = await Promise.all([ask(), ask(), ask()])
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, 401, 401])
    expect(await rolesAt(target)).toHaveLength(1)
    expect((await openLeases()).map((lease) => lease.state)).toEqual(['active'])
    await knex()('lease').update({ expires_at: new Date(0) })
    await settle()
    expect(await rolesAt(target)).toEqual([])
  })

  it('issues nothing whose intent was undone meanwhile', async () => {
    // The sweep of a replica whose clock is ahead: the append finds the lease in a state that cannot be issued.
    const taking = setInterval(() => {
      void knex()('lease')
        .where({ state: 'intended' })
        .update({ state: 'revoking', next_attempt_at: new Date() })
        .then(() => undefined)
    }, 1)
    const answer = await shop.attest({ databases: ['orders'] }).finally(() => clearInterval(taking))
    expect(answer.body.code).toBe('log_unavailable')
    expect(answer.body).not.toHaveProperty('databases')
    await settle()
    await sweepOrphans()
    expect(await openLeases()).toEqual([])
    expect(await rolesAt(target)).toEqual([])
  })

  it('ends nothing early or late when the clock jumps', async () => {
    const clock = createClock()
    const other = await startShop(target, { store: 'postgres', now: clock.now })
    try {
      const { role } = await other.arrive()
      clock.advance(-25 * 3600)
      await other.purser.runJobs()
      expect((await other.lease(role.lease)).state).toBe('active')
      clock.advance(50 * 3600)
      await other.purser.runJobs()
      expect((await other.lease(role.lease)).state).toBe('revoked')
      expect(await rolesAt(target)).not.toContain(role.username)
    } finally {
      await other.purser.stop()
    }
  })

  it('is processed once by two replicas', async () => {
    const second = await startReplica(shop.purser)
    try {
      const other = createShop(second, shop.issuer)
      const pods = await Promise.all(Array.from({ length: 6 }, (_, n) => (n % 2 ? other : shop).arrive()))
      expect(await rolesAt(target)).toHaveLength(6)
      await knex()('lease')
        .whereNull('ended_at')
        .update({ expires_at: new Date(0) })
      await Promise.all([settle(), second.runJobs()])
      await Promise.all([settle(), second.runJobs()])
      expect(await rolesAt(target)).toEqual([])
      const ids = pods.map((pod) => pod.role.lease)
      const log = await readLog(shop.purser)
      for (const id of ids) {
        const revocations = log.filter((entry) => entry.action === 'lease.revoke' && entry.resource?.id === id)
        expect(revocations.map((entry) => entry.outcome)).toEqual(['intended', 'completed'])
      }
    } finally {
      await second.stop()
    }
  })
})
