/** Two replicas, a target Postgres, secrets for every kind of rotator, and a database with leases. */
import { setTimeout as pause } from 'node:timers/promises'
import { type TargetServer, startTarget } from '../../../support/target.ts'
import { type Cluster, askOnce, startCluster } from '../cluster.ts'
import { type Answered, type Ask, openConnection } from '../connection.ts'

type RotatedSecret = { path: string; roles?: string[] }

export type SecretLab = {
  cluster: Cluster
  target: TargetServer
  rotated: RotatedSecret[]
  /** Calls any replica that serves, as the operator. Fails unless the status is 2xx. */
  operate(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answered>
  stop(): Promise<void>
}

/** Replies by status, then `refused` and `lost`. */
export type Counts = Map<string, number>

/** A client that sends one request after the other, at any replica that answers. */
export type Client = {
  /** Undefined when no reply arrived: the request may have succeeded. */
  ask(request: Ask): Promise<Answered | undefined>
  counts: Counts
  close(): void
}

export function createClient({ replicas }: Pick<Cluster, 'replicas'>, first = 0): Client {
  const counts: Counts = new Map()
  let at = first % replicas.length
  const target = () => {
    const replica = replicas[at]
    if (!replica) throw new Error('no replica')
    return replica.target()
  }
  const connection = openConnection(target)
  return {
    counts,
    async ask(request) {
      const outcome = await connection.ask(request)
      const name = outcome.kind === 'answered' ? String(outcome.status) : outcome.kind
      counts.set(name, (counts.get(name) ?? 0) + 1)
      if (outcome.kind === 'answered' && outcome.headers.connection !== 'close') return outcome
      connection.close()
      at = (at + 1) % replicas.length
      if (outcome.kind === 'answered') return outcome
      await pause(20)
      return undefined
    },
    close: () => connection.close(),
  }
}

/** Repeats work until `stop`, which waits for the last run. */
export function repeat(work: () => Promise<void>): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const running = (async () => {
    while (!stopping.signal.aborted) await work()
  })()
  // `stop` reports it.
  running.catch(() => undefined)
  return {
    async stop() {
      stopping.abort()
      await running
    },
  }
}

const onDeadline = ['retire', 'hold', 'alert'] as const

export const keptPath = (n: number): string => `kept/s${n}`

const workload = (name: string, grants: object) => ({
  name,
  attestor: 'lab',
  match: { 'oidc:sub': name },
  spiffeId: `spiffe://crash.example/lab/${name}`,
  grants,
  maxSessionSeconds: 7200,
})

/** @param sizes the number of secrets for each rotator, and of others without rotation, which make rewraps long */
export async function startSecretLab(sizes: {
  postgres: number
  generated: number
  plain: number
}): Promise<SecretLab> {
  const target = await startTarget()
  const cluster = await startCluster({ replicas: 2 }).catch(async (error: unknown) => {
    await target.stop()
    throw error
  })
  const stop = async (): Promise<void> => {
    await cluster.stop()
    await target.stop()
  }
  const [first] = cluster.replicas
  if (!first) throw new Error('no replica')

  const operate: SecretLab['operate'] = async (method, path, body, headers = {}) => {
    const at = cluster.replicas.find((replica) => replica.running()) ?? first
    const request = { method, path, token: cluster.admin, headers, ...(body !== undefined && { body }) }
    const reply = await askOnce(at, request)
    if (reply.status >= 300) throw new Error(`${method} ${path} answered ${reply.status}: ${reply.text}`)
    return reply
  }
  const put = (path: string, body: object) => operate('PUT', `/api/v1/secrets/${path}`, body, { 'if-match': '"0"' })

  try {
    for (const text of [
      'create role orders_owner nologin',
      'grant orders_owner to purser_admin with admin option',
      'grant usage on schema shop to orders_owner',
      'grant select on shop.item to orders_owner',
    ]) {
      await target.sql(text)
    }
    await operate('POST', '/api/v1/databases', {
      name: 'orders',
      kind: 'postgres',
      host: target.host,
      port: target.port,
      database: target.database,
      tls: { insecure: true },
      admin: target.admin,
      roles: { grants: [{ schema: 'shop', objects: 'tables', privileges: ['select', 'insert'] }] },
      rotation: {
        owners: ['orders_owner'],
        roles: Array.from({ length: sizes.postgres }, (_, n) => [`turn${n}_a`, `turn${n}_b`]).flat(),
      },
      defaultLifetimeSeconds: 90,
      maxLifetimeSeconds: 180,
    })
    const rotated: RotatedSecret[] = [
      ...Array.from({ length: sizes.postgres }, (_, n) => ({
        path: `live/db${n}`,
        roles: [`turn${n}_a`, `turn${n}_b`],
      })),
      ...Array.from({ length: sizes.generated }, (_, n) => ({ path: `live/made${n}` })),
    ]
    for (const [n, { path, roles }] of rotated.entries()) {
      await put(path, { data: roles ? {} : { token: 'the first' } })
      const rotator = roles
        ? { kind: 'postgres', database: 'orders', owner: 'orders_owner', roles, create: true }
        : { kind: 'generated', fields: { token: { length: 32, alphabet: 'alphanumeric' } } }
      await put(`${path}:rotation`, {
        rotator,
        deadlineSeconds: 60,
        onDeadline: onDeadline[n % onDeadline.length],
        moved: n % 4 === 0 ? 'acknowledged' : 'fetched',
      })
    }
    const numbers = Array.from({ length: sizes.plain }, (_, n) => n)
    const writer = async (): Promise<void> => {
      for (let n = numbers.pop(); n !== undefined; n = numbers.pop())
        await put(keptPath(n), { data: { of: n, count: 0 } })
    }
    await Promise.all([writer(), writer(), writer(), writer(), writer(), writer()])
    const secrets = [{ paths: ['live/**', 'kept/**'], actions: ['read'] }]
    await operate('POST', '/api/v1/workloads', workload('pod', { secrets }))
    await operate('POST', '/api/v1/workloads', workload('borrower', { databases: ['orders'] }))
    return { cluster, target, rotated, operate, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
