/** An operator who constantly creates, switches and removes workload entries, at any replica that answers. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Cluster } from './cluster.ts'
import { openConnection } from './connection.ts'
import type { Replica } from './replica.ts'

export type Operator = { stop(): Promise<void>; counts: Map<string, number> }

const indexOf = (header: string | undefined): number => Number(header?.split('/')[1])

export function startOperator(
  cluster: Cluster,
  { name, pauseMs = 30, replicas = cluster.replicas }: { name: string; pauseMs?: number; replicas?: Replica[] },
): Operator {
  const counts = new Map<string, number>()
  const stopping = new AbortController()
  let at = 0
  const connection = openConnection(() => (replicas[at] as Replica).target())

  /** Returns whether the change was confirmed. */
  async function change(action: string, entry: string, method: string, path: string, body?: unknown): Promise<boolean> {
    if (stopping.signal.aborted) return false
    const outcome = await connection.ask({ method, path, token: cluster.admin, ...(body !== undefined && { body }) })
    const name = outcome.kind === 'answered' ? String(outcome.status) : outcome.kind
    counts.set(name, (counts.get(name) ?? 0) + 1)
    const done = outcome.kind === 'answered' && outcome.status < 300
    if (done)
      cluster.evidence.changed.push({ index: indexOf(outcome.headers['purser-log-index']), action, name: entry })
    if (outcome.kind !== 'answered' || outcome.headers.connection === 'close') {
      connection.close()
      at = (at + 1) % replicas.length
    }
    await pause(pauseMs)
    return done
  }

  async function work(): Promise<void> {
    for (let n = 0; !stopping.signal.aborted; n++) {
      const entry = `${name}-${n}`
      const path = `/api/v1/workloads/${entry}`
      const created = await change('workload.create', entry, 'POST', '/api/v1/workloads', {
        name: entry,
        attestor: 'lab',
        match: { 'oidc:sub': entry },
        spiffeId: `spiffe://crash.example/lab/${entry}`,
        grants: { jwt: { audiences: ['payments'] } },
      })
      if (!created) continue
      await change('workload.disable', entry, 'POST', `${path}:disable`)
      await change('workload.enable', entry, 'POST', `${path}:enable`)
    }
    connection.close()
  }
  const working = work()
  return {
    counts,
    async stop() {
      stopping.abort()
      await working
    },
  }
}
