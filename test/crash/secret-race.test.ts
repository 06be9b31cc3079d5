/** Values of secrets, on three replicas at once: an entry shows the version and the grants that hold at its index. */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Cluster, askOnce, startCluster } from './support/cluster.ts'
import { type Ask, openConnection } from './support/connection.ts'
import type { Entry } from './support/judge.ts'
import { summaryOf } from './support/load.ts'
import { print, countFor } from './support/print.ts'
import type { Replica } from './support/replica.ts'

const flips = countFor('PURSER_CRASH_FLIPS', 20)
const paths = Array.from({ length: 6 }, (_, n) => `race/s${n}`)
const indexOf = (headers: Record<string, string>): number => Number(headers['purser-log-index']?.split('/')[1])

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ replicas: 3 })
  await cluster.asAdmin('POST', '/api/v1/workloads', reader(true))
  for (const path of paths) await put(path, 0)
})
afterAll(() => cluster.stop())

/** The entry of the readers, with or without the grant. */
const reader = (mayRead: boolean, maxSessionSeconds = 7200) => ({
  name: 'reader',
  attestor: 'lab',
  match: { 'oidc:sub': 'reader' },
  spiffeId: 'spiffe://crash.example/lab/reader',
  grants: { ...(mayRead && { secrets: [{ paths: ['race/**'], actions: ['read'] }] }) },
  maxSessionSeconds,
})

const anyReplica = (): Replica => cluster.replicas[randomInt(cluster.replicas.length)] as Replica

const asAdmin = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  askOnce(anyReplica(), {
    method,
    path,
    token: cluster.admin,
    ...(body !== undefined && { body }),
    ...(headers && { headers }),
  })

const put = (path: string, version: number) =>
  asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { path, after: version } }, { 'if-match': `"${version}"` })

type Readers = { counts: Map<string, number>; answered(more: number): Promise<void>; stop(): Promise<void> }

/** Connections that read all secrets, half of them with an access token and half of them by attesting each time. */
async function startReaders(connections: number): Promise<Readers> {
  const proof = async () => ({ kind: 'jwt', token: await cluster.issuer.token({ sub: 'reader' }) })
  const body = { proof: await proof(), accessToken: {} }
  const { text } = await askOnce(anyReplica(), { method: 'POST', path: '/api/v1/credentials', body })
  const { accessToken }: { accessToken: { token: string } } = JSON.parse(text)
  const counts = new Map<string, number>()
  const stopping = new AbortController()
  let answers = 0

  const nextRequest = async (n: number): Promise<Ask> =>
    n % 2 === 0
      ? { method: 'POST', path: '/api/v1/secrets:read', token: accessToken.token, body: { secrets: paths } }
      : { method: 'POST', path: '/api/v1/credentials', body: { proof: await proof(), secrets: paths } }

  async function read(n: number): Promise<void> {
    const connection = openConnection(() => (cluster.replicas[n % cluster.replicas.length] as Replica).target())
    while (!stopping.signal.aborted) {
      const outcome = await connection.ask(await nextRequest(n))
      const name = outcome.kind === 'answered' ? String(outcome.status) : outcome.kind
      counts.set(name, (counts.get(name) ?? 0) + 1)
      answers++
      if (outcome.kind === 'answered' && outcome.status === 200) cluster.evidence.take(outcome)
    }
    connection.close()
  }
  const all = Promise.all(Array.from({ length: connections }, (_, n) => read(n)))
  return {
    counts,
    async answered(more) {
      const last = answers + more
      await vi.waitUntil(() => answers >= last, { timeout: 60_000 })
    },
    async stop() {
      stopping.abort()
      await all
    },
  }
}

const readsOf = (log: Entry[]): Entry[] =>
  log.filter(({ outcome, issued }) => outcome === 'granted' && issued?.secrets !== undefined)

/** Reads that show another version than the live one at their index. */
function outdatedReads(log: Entry[]): string[] {
  const live = new Map<string, number>()
  const faults: string[] = []
  for (const { index, action, outcome, issued, resource, change } of log) {
    if (outcome !== 'granted') continue
    const path = resource?.name ?? ''
    if (action === 'secret.put') live.set(path, (change as { after: { version: number } }).after.version)
    if (action === 'secret.delete') live.delete(path)
    for (const { path, version } of issued?.secrets ?? [])
      if (live.get(path) !== version)
        faults.push(`entry ${index} shows version ${version} of ${path}, when ${live.get(path)} was live`)
  }
  return faults
}

/** Entries whose decision is based on an outdated revision of the workload entry. */
function outdatedDecisions(log: Entry[]): string[] {
  let revision = 0
  const faults: string[] = []
  for (const { index, outcome, actor, resource } of log) {
    if (outcome !== 'granted') continue
    if (resource?.kind === 'workload' && resource.name === 'reader') revision = resource.revision ?? revision
    if (actor.workload === 'reader' && actor.revision !== revision)
      faults.push(`entry ${index} was decided under revision ${actor.revision}, when it was ${revision}`)
  }
  return faults
}

describe('secrets that 64 connections read', () => {
  it(`are in no entry after their grant was taken away, ${flips} times`, async () => {
    const readers = await startReaders(64)
    let revision = 1
    const withdrawn: { from: number; to: number }[] = []
    const replace = async (...change: Parameters<typeof reader>): Promise<number> => {
      const reply = await asAdmin('PUT', '/api/v1/workloads/reader', reader(...change), { 'if-match': `"${revision}"` })
      if (reply.status !== 200) throw new Error(reply.text)
      revision++
      return indexOf(reply.headers)
    }
    for (let n = 0; n < flips; n++) {
      await readers.answered(64)
      const from = await replace(false)
      await pause(randomInt(300))
      withdrawn.push({ from, to: await replace(true) })
      await readers.answered(64)
      await replace(true, 7000 + n)
    }
    await readers.answered(64)
    await readers.stop()
    const verdict = await cluster.judge()
    const reads = readsOf(verdict.log)
    const wrong = reads.filter(({ index }) => withdrawn.some(({ from, to }) => index > from && index < to))
    print('a grant of secrets taken away', { flips, replies: summaryOf(readers.counts), wrong: wrong.length }, verdict)
    expect(verdict.problems).toEqual([])
    expect(wrong).toEqual([])
    expect(outdatedDecisions(verdict.log)).toEqual([])
    expect(withdrawn.every(({ from, to }) => from < to)).toBe(true)
    expect(reads.length).toBeGreaterThan(flips)
    expect(readers.counts.get('403')).toBeGreaterThan(0)
  })

  it(`are in no entry with a version that was replaced or deleted before, ${flips * 4} writes of each`, async () => {
    const readers = await startReaders(32)
    const replies = new Map<string, number>()

    /** Some writes compete with those of another writer of the path. */
    async function write(path: string): Promise<void> {
      for (let n = 0; n < flips * 4; n++) {
        const { status, text } = await asAdmin('GET', `/api/v1/secrets/${path}:metadata`)
        const { version }: { version: number } = status === 200 ? JSON.parse(text) : { version: 0 }
        const reply =
          n % 20 === 9
            ? await asAdmin('DELETE', `/api/v1/secrets/${path}`, undefined, { 'if-match': `"${version}"` })
            : await put(path, version)
        replies.set(String(reply.status), (replies.get(String(reply.status)) ?? 0) + 1)
      }
    }
    await Promise.all([...paths, ...paths].map(write))
    await readers.stop()
    const verdict = await cluster.judge()
    const wrong = outdatedReads(verdict.log)
    const reads = readsOf(verdict.log).length
    print(
      'versions replaced under readers',
      { reads, replies: summaryOf(readers.counts), writes: summaryOf(replies), wrong: wrong.length },
      verdict,
    )
    expect(verdict.problems).toEqual([])
    expect(wrong).toEqual([])
    expect(reads).toBeGreaterThan(flips * 4)
    expect(replies.get('200')).toBeGreaterThan(flips * 4)
  })
})
