/** A leaked workload is contained in seconds, at every replica, also when the replica that does it dies. */
import { setTimeout as pause } from 'node:timers/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { rolesAt } from '../support/leases.ts'
import { type Leak, lastAccepted, leaky, startLeak } from './support/leak.ts'
import { print } from './support/print.ts'

/** Each has a certificate, a JWT and an access token: a thousand credentials. */
const requests = 334
const leases = 20

let leak: Leak
beforeEach(async () => {
  leak = await startLeak()
})
afterEach(() => leak.stop())

type Contained = { id: string; state: string; cut: { index: number }; revoked: object }
const revoked = { certificates: requests, jwts: requests, accessTokens: requests, sessions: 40, apiTokens: 0 }

const run = (line: string) => {
  const [replica] = leak.cluster.replicas
  const { host, port } = replica?.target() ?? { host: '', port: 0 }
  const env = {
    PURSER_ADDR: `https://${host}:${port}`,
    PURSER_CA_FILE: join(replica?.dataDir ?? '', 'ca.pem'),
    PURSER_API_TOKEN: leak.cluster.admin,
  }
  return cli([...line.split(' '), '--reason', 'incident 42', '-o', 'json'], { env })
}

/** Attests without a pause until it was refused a few times: some of its requests are pending at the cut. */
async function knock(n: number): Promise<number> {
  let refused = 0
  while (refused < 5) {
    const { status } = await leak.attest(`late-${n}`, { accessToken: {} }, leak.cluster.replicas[n % 3])
    if (status === 401) refused++
  }
  return refused
}

async function grantedAfter(cut: number): Promise<number> {
  const entries = await leak.entries()
  return entries.filter(({ actor, outcome }, index) => index > cut && actor.spiffeId === leaky && outcome === 'granted')
    .length
}

it('revokes a thousand credentials, twenty leases and the read secrets, by one command, at three replicas', async () => {
  const token = await leak.fill(requests, leases)
  expect(await rolesAt(leak.target)).toHaveLength(leases)
  const acceptances = leak.cluster.replicas.map((replica) => lastAccepted(replica, token))
  const callers = Array.from({ length: 12 }, (_, n) => knock(n))
  await pause(1000)

  const startedAt = Date.now()
  const { code, out, err } = await run(`contain --spiffe-id ${leaky} --yes`)
  const seconds = (Date.now() - startedAt) / 1000
  expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' })
  const contained: Contained = JSON.parse(out)
  const refused = (await Promise.all(callers)).reduce((sum, n) => sum + n, 0)
  // Before its commit.
  const { created_at: createdAt }: { created_at: Date } = await leak.db.knex('containment').first('created_at')
  const maxDelay = Math.max(...(await Promise.all(acceptances))) - createdAt.getTime()
  print('contain', { seconds, 'last accepted after ms': maxDelay, refused })

  expect(contained).toMatchObject({ state: 'contained' })
  const { certificates, sessions } = contained.revoked as typeof revoked
  expect(certificates).toBe(requests)
  expect(sessions).toBe(40 + callers.length)
  expect(maxDelay).toBeLessThan(1000)
  expect(seconds).toBeLessThan(30)
  expect(await grantedAfter(contained.cut.index)).toBe(0)
  expect(await rolesAt(leak.target)).toEqual([])
  const rotations = await leak.db.knex('rotation').select('state', 'requested_by')
  expect(rotations).toEqual(Array.from({ length: 30 }, () => ({ state: 'retired', requested_by: 'operator:admin' })))
  expect((await leak.attest('pod-1')).status).toBe(401)
  const { problems } = await leak.cluster.judge()
  expect(problems).toEqual([])
})

it('is continued by another replica when the first is killed', async () => {
  await leak.fill(requests, leases)
  const [first, second] = leak.cluster.replicas
  if (!first || !second) throw new Error('no replicas')
  const { knex } = leak.db
  // A lock on its row stops the work in the middle.
  const creation = leak.operate('POST', '/api/v1/containments', { match: { spiffeId: leaky } }, first)
  creation.catch(() => undefined)
  let id = ''
  while (id === '') {
    const row: { id: string } | undefined = await knex('containment').first('id')
    id = row?.id ?? ''
  }
  const hold = await knex.transaction()
  await hold('containment').where({ id }).forUpdate().first()
  await first.kill()
  await hold.rollback()
  const containment: { state: string } | undefined = await knex('containment').where({ id }).first('state')
  expect(containment?.state).toBe('revoking')

  const get = async (): Promise<Contained> =>
    JSON.parse((await leak.operate('GET', `/api/v1/containments/${id}`, undefined, second)).text)
  const killed = Date.now()
  await expect.poll(async () => (await get()).state, { timeout: 60_000, interval: 500 }).toBe('contained')
  print('contain after kill -9', { seconds: (Date.now() - killed) / 1000 })
  const contained = await get()
  expect(contained.revoked).toEqual(revoked)
  const names = (await leak.entries()).flatMap(({ revoked: names }) => [
    ...(names?.serialNumbers ?? []),
    ...(names?.jtis ?? []),
    ...(names?.accessTokens ?? []),
  ])
  expect([names.length, new Set(names).size]).toEqual([3 * requests, 3 * requests])
  expect(await rolesAt(leak.target)).toEqual([])
  expect(await grantedAfter(contained.cut.index)).toBe(0)
  await first.start()
})
