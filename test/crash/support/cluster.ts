/** Replicas on one database, an attestor, workloads for clients, and what is needed to judge them. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { openPostgres } from '../../../src/store/postgres.ts'
import { type Issuer, createIssuer } from '../../support/issuer.ts'
import { cloneDatabase } from '../../support/template.ts'
import { type Answered, type Ask, openConnection } from './connection.ts'
import { type Evidence, createEvidence } from './evidence.ts'
import { type Verdict, judge } from './judge.ts'
import { type Replica, createReplica } from './replica.ts'

export const audience = 'https://purser.crash.example'

export type Cluster = {
  replicas: Replica[]
  admin: string
  issuer: Issuer
  vkeys: string[]
  evidence: Evidence
  /** The database without any proxy. Absent for the embedded store. */
  url: string | undefined
  /** As the admin, at the replica (the first unless named); fails unless the status is 2xx. */
  asAdmin: (method: string, path: string, body?: unknown, at?: Replica) => Promise<Answered>
  /** Compares the log with the evidence, including the heads that replicas serve now. */
  judge(): Promise<Verdict>
  stop(): Promise<void>
}

export type ClusterOptions = {
  replicas: number
  /** The embedded store instead of Postgres. */
  embedded?: boolean
  /** A Postgres server other than that of the run. */
  postgres?: { url: string; template: string }
  /** How the n-th replica reaches the database. */
  through?: (n: number, url: string) => string
  tls?: boolean
  env?: Record<string, string>
}

/** Sends one request on its own connection. */
export async function askOnce(replica: Pick<Replica, 'target'>, request: Ask): Promise<Answered> {
  const connection = openConnection(() => replica.target())
  const outcome = await connection.ask(request)
  connection.close()
  if (outcome.kind !== 'answered') throw new Error(`${request.method} ${request.path}: ${outcome.kind}`)
  return outcome
}

/** Workload entries that exist before any operator begins. */
export const labWorkloads = ['web', 'target']

const workload = (name: string) => ({
  name,
  attestor: 'lab',
  match: { 'oidc:sub': name },
  spiffeId: `spiffe://crash.example/lab/${name}`,
  grants: { x509: { dnsNames: [`${name}.lab`] }, jwt: { audiences: ['payments'] } },
  maxSessionSeconds: 7200,
})

async function registerLab(asAdmin: Cluster['asAdmin'], issuer: Issuer): Promise<void> {
  const keys = { jwks: { keys: [issuer.jwk] } }
  await asAdmin('POST', '/api/v1/attestors', { name: 'lab', kind: 'oidc', issuer: issuer.issuer, audience, keys })
  for (const name of labWorkloads) await asAdmin('POST', '/api/v1/workloads', workload(name))
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { url: server, template } = options.postgres ?? inject('postgres')
  const database = options.embedded ? undefined : await cloneDatabase(server, template)
  const home = await mkdtemp(join(tmpdir(), 'purser-crash-'))
  const rootKey = randomBytes(32).toString('base64')
  const replicas = Array.from({ length: options.replicas }, (_, n) =>
    createReplica(`replica ${n + 1}`, join(home, String(n + 1)), {
      PURSER_TRUST_DOMAIN: 'crash.example',
      PURSER_PUBLIC_URL: audience,
      PURSER_LISTEN: '127.0.0.1:0',
      PURSER_ROOT_KEY: rootKey,
      PURSER_LIMIT_ADDRESS_PER_SECOND: '1000000',
      PURSER_LIMIT_PUBLIC_PER_SECOND: '1000000',
      PURSER_LIMIT_ATTESTOR_PER_SECOND: '1000000',
      PURSER_LIMIT_REFUSALS_PER_MINUTE: '1000000',
      PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE: '1000000',
      ...(!options.tls && { PURSER_INSECURE_HTTP: 'loopback' }),
      ...(database && { DATABASE_URL: options.through?.(n, database.url) ?? database.url, PURSER_MIGRATE: 'check' }),
      ...options.env,
    }),
  )
  const [first] = replicas
  if (!first) throw new Error('a cluster has at least one replica')

  let admin = ''
  const asAdmin: Cluster['asAdmin'] = async (method, path, body, at = first) => {
    const reply = await askOnce(at, { method, path, token: admin, ...(body !== undefined && { body }) })
    if (reply.status >= 300) throw new Error(`${method} ${path} answered ${reply.status}: ${reply.text}`)
    return reply
  }
  const clear = async (): Promise<void> => {
    for (const replica of replicas) replica.resume()
    await Promise.all(replicas.map((replica) => replica.kill()))
    await database?.drop()
    await rm(home, { recursive: true, force: true })
  }
  try {
    await first.start()
    admin = (await readFile(join(first.dataDir, 'bootstrap-token'), 'utf8')).trim()
    admin = JSON.parse((await asAdmin('POST', '/api/v1/bootstrap')).text).token
    const issuer = await createIssuer()
    const claims = (more: Record<string, unknown> = {}) => issuer.token({ aud: audience, ...more })
    await registerLab(asAdmin, issuer)
    await Promise.all(replicas.slice(1).map((replica) => replica.start()))
    const about: { logKeys: string[]; trustDomain: string } = JSON.parse(
      (await askOnce(first, { method: 'GET', path: '/api/v1/server' })).text,
    )
    const evidence = createEvidence(about.logKeys, `${about.trustDomain}/log/1`)

    return {
      replicas,
      admin,
      issuer: { ...issuer, token: claims },
      vkeys: about.logKeys,
      evidence,
      url: database?.url,
      asAdmin,
      async judge() {
        if (!database) throw new Error('stop the replica before the embedded store is judged')
        for (const replica of replicas) {
          evidence.faults.push(...replica.deaths, ...replica.complaints)
          if (!replica.running()) continue
          const path = '/log/1/checkpoint'
          evidence.sawCheckpoint((await askOnce(replica, { method: 'GET', path })).text)
        }
        const db = openPostgres({ url: database.url, poolMax: 1 })
        try {
          return await judge(db.knex, evidence)
        } finally {
          await db.close()
        }
      },
      stop: clear,
    }
  } catch (error) {
    await clear()
    throw error
  }
}
