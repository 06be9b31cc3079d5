/** A workload that leaks: credentials, leases and secrets in bulk on three replicas, and their state afterwards. */
import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { createCsr } from '@purser/sdk/csr'
import type { LogEntry } from '../../../src/audit/entry.ts'
import { type Database } from '../../../src/store/database.ts'
import { openPostgres } from '../../../src/store/postgres.ts'
import { type TargetServer, startTarget } from '../../support/target.ts'
import { type Cluster, askOnce, audience, startCluster } from './cluster.ts'
import { type Answered, type Connection, openConnection } from './connection.ts'
import type { Replica } from './replica.ts'

export const leaky = 'spiffe://crash.example/lab/leaky'
const secrets = Array.from({ length: 30 }, (_, n) => `leak/s${n}`)
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

export type Leak = {
  cluster: Cluster
  target: TargetServer
  db: Database
  /** One instance attests. */
  attest(instance: string, more?: object, at?: Replica): Promise<Answered>
  /** As the admin, with a reason. */
  operate(method: string, path: string, body?: unknown, at?: Replica): Promise<Answered>
  /** Issues certificates, JWTs and access tokens, `requests` of each, and leases to as many instances. */
  fill(requests: number, leases: number): Promise<string>
  entries(): Promise<LogEntry[]>
  stop(): Promise<void>
}

export async function startLeak(): Promise<Leak> {
  const target = await startTarget()
  const cluster = await startCluster({ replicas: 3, tls: true })
  const db = openPostgres({ url: cluster.url ?? '', poolMax: 3 })
  const [first] = cluster.replicas
  if (!first) throw new Error('no replica')

  const operate: Leak['operate'] = async (method, path, body, at = first) => {
    const headers = { 'purser-reason': 'incident 42', ...(method === 'PUT' && { 'if-match': '"0"' }) }
    const reply = await askOnce(at, {
      method,
      path,
      token: cluster.admin,
      headers,
      ...(body !== undefined && { body }),
    })
    if (reply.status >= 300) throw new Error(`${method} ${path} answered ${reply.status}: ${reply.text}`)
    return reply
  }
  const attest: Leak['attest'] = async (instance, more = {}, at = first) => {
    const token = await cluster.issuer.token({ aud: audience, sub: 'leaky', jti: instance })
    return askOnce(at, {
      method: 'POST',
      path: '/api/v1/credentials',
      body: { proof: { kind: 'jwt', token }, ...more },
    })
  }
  await operate('POST', '/api/v1/databases', {
    name: 'orders',
    kind: 'postgres',
    host: target.host,
    port: target.port,
    database: target.database,
    tls: { insecure: true },
    admin: target.admin,
    roles: { grants: [{ schema: 'shop', objects: 'tables', privileges: ['select'] }] },
    defaultLifetimeSeconds: 600,
    maxLifetimeSeconds: 1200,
  })
  const rotator = { kind: 'generated', fields: { token: { length: 32, alphabet: 'alphanumeric' } } }
  for (const path of secrets) {
    await operate('PUT', `/api/v1/secrets/${path}`, { data: { token: 'the first' } })
    await operate('PUT', `/api/v1/secrets/${path}:rotation`, { rotator, onDeadline: 'hold' })
  }
  await operate('POST', '/api/v1/workloads', {
    name: 'leaky',
    attestor: 'lab',
    match: { 'oidc:sub': 'leaky' },
    spiffeId: leaky,
    grants: {
      x509: {},
      jwt: { audiences: ['payments'] },
      databases: ['orders'],
      secrets: [{ paths: ['leak/**'], actions: ['read', 'watch'] }],
    },
    maxSessionSeconds: 7200,
  })

  return {
    cluster,
    target,
    db,
    attest,
    operate,
    async fill(requests, leases) {
      const request = { x509: { csr: createCsr(privateKey) }, jwts: [{ audience: ['payments'] }], accessToken: {} }
      const ask = async (n: number): Promise<Answered> => {
        const more = { ...request, ...(n < leases && { databases: ['orders'] }) }
        const reply = await attest(`pod-${n % 40}`, more, cluster.replicas[n % cluster.replicas.length])
        if (reply.status !== 200) throw new Error(reply.text)
        return reply
      }
      const { token }: { token: string } = JSON.parse((await ask(0)).text).accessToken
      for (let from = 1; from < requests; from += 8)
        await Promise.all(Array.from({ length: Math.min(8, requests - from) }, (_, n) => ask(from + n)))
      const body = { secrets: secrets.map((path) => ({ path })) }
      const read = await askOnce(first, { method: 'POST', path: '/api/v1/secrets:read', token, body })
      if (read.status !== 200) throw new Error(read.text)
      return token
    },
    async entries() {
      const rows: { body: string }[] = await db.knex('log_entry').select('body').orderBy('idx')
      return rows.map((row): LogEntry => JSON.parse(row.body))
    },
    async stop() {
      await db.close()
      await cluster.stop()
      await target.stop()
    },
  }
}

/** Asks on one kept connection at a time until it is refused. Resolves with the time at which the last accepted request began. */
export async function lastAccepted(replica: Replica, token: string): Promise<number> {
  const connection: Connection = openConnection(() => replica.target())
  let last = 0
  for (;;) {
    const startedAt = Date.now()
    const outcome = await connection.ask({ method: 'GET', path: '/api/v1/credentials/self', token })
    if (outcome.kind !== 'answered' || outcome.status !== 200) {
      connection.close()
      if (outcome.kind !== 'answered' || outcome.status !== 401) throw new Error(`${replica.name}: ${outcome.kind}`)
      return last
    }
    last = startedAt
    await pause(10)
  }
}
