/** Containers that request credentials, each on its own kept connection, as fast as they get replies. */
import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { createCsr } from '@purser/sdk/csr'
import type { Cluster } from './cluster.ts'
import { type Outcome, openConnection } from './connection.ts'
import type { Head } from './evidence.ts'
import type { Replica } from './replica.ts'

export type Load = {
  /** Waits for the replies to requests that were sent, or for their loss. */
  stop(): Promise<void>
  /** Replies by status, then `refused` and `lost`. */
  counts: Map<string, number>
  /** Resolves after this number of further grants by the replica. */
  granted(more: number, by?: Replica): Promise<void>
  /** The longest time between two grants, of all or of one replica, since `since` (performance.now()). */
  maxSilence(since: number, by?: Replica): number
  slowestMs(): number
}

export type CredentialKind = 'x509' | 'jwt' | 'accessToken'

export type LoadOptions = {
  connections: number
  /** The requested credentials beside the proof. For `x509`, the CSR of the connection is added. */
  kinds?: CredentialKind[]
  /** The subject of its tokens, which is the name of its workload. */
  subject?: string
  /** The proof; by default each request has its own token. */
  proof?: () => string
  /** The replicas. A connection stays with one until it fails. */
  replicas?: Replica[]
  onOutcome?: (outcome: Outcome, replica: Replica) => void
  /** Every n-th request must be refused, since its token is expired. */
  refuseEvery?: number
}

export function startLoad(cluster: Cluster, options: LoadOptions): Load {
  const { evidence, issuer } = cluster
  const { connections, kinds = ['x509', 'jwt', 'accessToken'], subject = 'web', refuseEvery = 0 } = options
  const replicas = options.replicas ?? cluster.replicas
  const counts = new Map<string, number>()
  const grants: { at: number; by: Replica }[] = []
  const waiters = new Set<(by: Replica) => void>()
  const stopping = new AbortController()
  let slowest = 0
  const add = (outcome: string): void => void counts.set(outcome, (counts.get(outcome) ?? 0) + 1)

  async function container(n: number): Promise<void> {
    let at = n % replicas.length
    const csr = createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
    let since: Head | undefined
    const connection = openConnection(() => (replicas[at] as Replica).target())
    for (let index = n; !stopping.signal.aborted; index++) {
      const replica = replicas[at] as Replica
      const expired = refuseEvery > 0 && index % refuseEvery === 0
      const token =
        options.proof?.() ??
        (await issuer.token({ sub: subject, ...(expired && { exp: 1_700_000_000, iat: 1_600_000_000 }) }))
      const outcome = await connection.ask({
        method: 'POST',
        path: '/api/v1/credentials',
        body: {
          proof: { kind: 'jwt', token },
          ...(kinds.includes('x509') && { x509: { csr } }),
          ...(kinds.includes('jwt') && { jwts: [{ audience: ['payments'] }] }),
          ...(kinds.includes('accessToken') && { accessToken: {} }),
          ...(since && { receipt: { sinceSize: since.size } }),
        },
      })
      add(outcome.kind === 'answered' ? String(outcome.status) : outcome.kind)
      options.onOutcome?.(outcome, replica)
      if (outcome.kind === 'answered') slowest = Math.max(slowest, outcome.ms)
      if (outcome.kind === 'answered' && outcome.status === 200) {
        since = evidence.take(outcome, since) ?? since
        grants.push({ at: performance.now(), by: replica })
        for (const count of waiters) count(replica)
      }
      // A balancer sends no new client to a replica that leaves, as /readyz shows.
      const leaves = outcome.kind === 'answered' && outcome.headers.connection === 'close'
      if (leaves) at = (at + 1) % replicas.length
      else if (outcome.kind !== 'answered') {
        at = (at + 1) % replicas.length
        connection.close()
        await pause(20)
      } else if (outcome.status >= 500) await pause(50)
    }
    connection.close()
  }
  const all = Promise.all(Array.from({ length: connections }, (_, n) => container(n)))

  return {
    counts,
    async stop() {
      stopping.abort()
      await all
    },
    granted: (more, by) =>
      new Promise((resolve) => {
        let remaining = more
        const count = (replica: Replica): void => {
          if ((by && by !== replica) || --remaining > 0) return
          waiters.delete(count)
          resolve()
        }
        waiters.add(count)
      }),
    maxSilence(since, by) {
      let last = since
      let max = 0
      for (const { at, by: replica } of grants) {
        if (at < since || (by && by !== replica)) continue
        max = Math.max(max, at - last)
        last = at
      }
      return Math.max(max, performance.now() - last)
    },
    slowestMs: () => slowest,
  }
}

/** For a summary: `200: 812, 503: 3`. */
export const summaryOf = (counts: Map<string, number>): string =>
  [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([outcome, count]) => `${outcome}: ${count}`)
    .join(', ')
