/** Single uses and revoked credentials, on three replicas at once. */
import { generateKeyPairSync, randomInt, randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, askOnce, audience, startCluster } from './support/cluster.ts'
import { type Outcome, openConnection } from './support/connection.ts'
import type { Entry } from './support/judge.ts'
import { startLoad, summaryOf } from './support/load.ts'
import { print, countFor } from './support/print.ts'
import type { Replica } from './support/replica.ts'

const flips = countFor('PURSER_CRASH_FLIPS', 20)
const indexOf = (headers: Record<string, string>): number => Number(headers['purser-log-index']?.split('/')[1])

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ replicas: 3 })
})
afterAll(() => cluster.stop())

const anyReplica = (): Replica => cluster.replicas[randomInt(cluster.replicas.length)] as Replica

describe('a grant that is revoked while 64 connections use it', () => {
  it(`is in no entry after its index: a workload switched off ${flips} times`, async () => {
    const load = startLoad(cluster, { connections: 64, subject: 'target', kinds: ['x509', 'jwt'] })
    const pauses: { from: number; to: number }[] = []
    for (let n = 0; n < flips; n++) {
      await load.granted(64)
      const disabled = await cluster.asAdmin('POST', '/api/v1/workloads/target:disable', undefined, anyReplica())
      await pause(randomInt(300))
      const enabled = await cluster.asAdmin('POST', '/api/v1/workloads/target:enable', undefined, anyReplica())
      pauses.push({ from: indexOf(disabled.headers), to: indexOf(enabled.headers) })
    }
    await load.granted(64)
    await load.stop()
    const verdict = await cluster.judge()
    const granted = grantedTo(verdict.log, 'target')
    const wrong = granted.filter(({ index }) => pauses.some(({ from, to }) => index > from && index < to))
    print('a workload switched off and on', { flips, replies: summaryOf(load.counts), wrong: wrong.length }, verdict)
    expect(verdict.problems).toEqual([])
    expect(wrong).toEqual([])
    expect(decidedUnder(verdict.log, 'target')).toEqual([])
    expect(pauses.every(({ from, to }) => from < to)).toBe(true)
    expect(load.counts.get('401')).toBeGreaterThan(0)
  })

  it(`is in no entry after its index: ${flips} sessions revoked`, async () => {
    const endIndexes = new Map<string, number>()
    const counts = new Map<string, number>()
    for (let n = 0; n < flips; n++) {
      // One instance: every caller presents the same token.
      const run = randomUUID()
      const proof = await cluster.issuer.token({ jti: run, run })
      const first = await askOnce(anyReplica(), ask(proof))
      const { session }: { session: { id: string } } = JSON.parse(first.text)
      const load = startLoad(cluster, { connections: 64, proof: () => proof, kinds: ['x509'] })
      await load.granted(64)
      const revoked = await cluster.asAdmin('POST', '/api/v1/revocations', { session: session.id }, anyReplica())
      endIndexes.set(run, indexOf(revoked.headers))
      await pause(200)
      await load.stop()
      for (const [outcome, count] of load.counts) counts.set(outcome, (counts.get(outcome) ?? 0) + count)
    }
    const verdict = await cluster.judge()
    // The instance must not return with another session either.
    const wrong = grantedTo(verdict.log, 'web').filter(
      ({ index, actor }) => index > (endIndexes.get(String(actor.selectors?.['oidc:run'])) ?? Infinity),
    )
    print('sessions revoked', { revoked: endIndexes.size, replies: summaryOf(counts), wrong: wrong.length }, verdict)
    expect(verdict.problems).toEqual([])
    expect(wrong).toEqual([])
    expect(counts.get('401')).toBeGreaterThan(0)
  })
})

const grantedTo = (log: Entry[], workload: string): Entry[] =>
  log.filter(
    (entry) => entry.action === 'credentials.issue' && entry.outcome === 'granted' && entry.actor.workload === workload,
  )

/** Entries whose decision is based on an outdated revision of the workload. */
function decidedUnder(log: Entry[], workload: string): string[] {
  let revision = 0
  const wrong: string[] = []
  for (const { index, action, outcome, actor, resource } of log) {
    if (outcome !== 'granted') continue
    if (resource?.kind === 'workload' && resource.name === workload) revision = resource.revision ?? revision
    if (action === 'credentials.issue' && actor.workload === workload && actor.revision !== revision)
      wrong.push(`entry ${index} was decided under revision ${actor.revision}, when it was ${revision}`)
  }
  return wrong
}

const ask = (token: string, csr?: string) => ({
  method: 'POST',
  path: '/api/v1/credentials',
  body: { proof: { kind: 'jwt', token }, ...(csr !== undefined && { x509: { csr } }) },
})

const newCsr = (): string => createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)

describe('a single-use token', () => {
  beforeAll(async () => {
    const { issuer, asAdmin } = cluster
    const keys = { jwks: { keys: [issuer.jwk] } }
    const once = { name: 'once', kind: 'oidc', issuer: `${issuer.issuer}/once`, audience, keys, singleUse: true }
    await asAdmin('POST', '/api/v1/attestors', once)
    await asAdmin('POST', '/api/v1/workloads', {
      name: 'build',
      attestor: 'once',
      match: { 'oidc:sub': 'build' },
      spiffeId: 'spiffe://crash.example/once/build',
      grants: { x509: { dnsNames: ['build.once'] } },
    })
  })
  const token = (): Promise<string> =>
    cluster.issuer.token({ iss: `${cluster.issuer.issuer}/once`, sub: 'build', jti: randomUUID() })

  /** Sends every request on its own connection. All connections are open before the first request. */
  async function together(requests: ReturnType<typeof ask>[]): Promise<Outcome[]> {
    const pairs = requests.map((request, n) => ({
      request,
      connection: openConnection(() => (cluster.replicas[n % cluster.replicas.length] as Replica).target()),
    }))
    await Promise.all(pairs.map(({ connection }) => connection.ask({ method: 'GET', path: '/healthz' })))
    const outcomes = await Promise.all(pairs.map(({ connection, request }) => connection.ask(request)))
    for (const { connection } of pairs) connection.close()
    return outcomes
  }
  const statuses = (outcomes: Outcome[]): Map<string, number> => {
    const counts = new Map<string, number>()
    for (const outcome of outcomes) {
      const name = outcome.kind === 'answered' ? String(outcome.status) : outcome.kind
      counts.set(name, (counts.get(name) ?? 0) + 1)
      if (outcome.kind === 'answered' && outcome.status === 200) cluster.evidence.take(outcome)
    }
    return counts
  }

  it('is granted to one of 200 keys', async () => {
    const proof = await token()
    const counts = statuses(await together(Array.from({ length: 200 }, () => ask(proof, newCsr()))))
    const verdict = await cluster.judge()
    print('one token, 200 keys', { replies: summaryOf(counts) }, verdict)
    expect(verdict.problems).toEqual([])
    expect(Object.fromEntries(counts)).toEqual({ 200: 1, 401: 199 })
    expect(grantedTo(verdict.log, 'build')).toHaveLength(1)
  })

  it('is granted again to the same key, as another entry', async () => {
    const proof = await token()
    const csr = newCsr()
    const before = grantedTo((await cluster.judge()).log, 'build').length
    const counts = statuses(await together(Array.from({ length: 60 }, () => ask(proof, csr))))
    counts.set(
      'others',
      statuses(await together(Array.from({ length: 60 }, () => ask(proof, newCsr())))).get('401') ?? 0,
    )
    const verdict = await cluster.judge()
    print('one token, one key', { replies: summaryOf(counts) }, verdict)
    expect(verdict.problems).toEqual([])
    expect(Object.fromEntries(counts)).toEqual({ 200: 60, others: 60 })
    expect(grantedTo(verdict.log, 'build')).toHaveLength(before + 60)
  })
})
