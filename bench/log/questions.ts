/** What an auditor and an operator ask of a filled log, as HTTP requests. */
import { type LogShape, entryAt, workloadsOf } from './entries.ts'

export type Question = { method: 'GET' | 'POST'; path: string; body?: object }
/** `ask`: the question number n. Questions of a case differ, so that no two read the same rows. */
export type QuestionCase = { name: string; ask: (n: number) => Question; max?: number }

type Filled = { actor: { session?: string; spiffeId?: string }; issued?: { x509?: { serialNumber: string } } }

const search = (query: Record<string, string>): Question => ({
  method: 'GET',
  path: `/api/v1/audit/entries?${new URLSearchParams(query).toString()}`,
})
const revoke = (body: object): Question => ({ method: 'POST', path: '/api/v1/revocations', body })

/** Spreads n over the whole log, in an order without neighbours. */
const spread = (n: number, size: number): number => Math.floor(((n * 0.6180339887 + 0.1) % 1) * size)

export function questionCases(shape: LogShape): QuestionCase[] {
  const { size } = shape
  const parse = (n: number): Filled => JSON.parse(entryAt(shape, n).body)
  /** The first entry from n on that has the wanted member. */
  function find<T>(n: number, pick: (entry: Filled) => T | undefined): T {
    for (let at = n; at < size; at++) {
      const value = pick(parse(at))
      if (value !== undefined) return value
    }
    return find(0, pick)
  }
  const serialAt = (n: number): string => find(n, ({ issued }) => issued?.x509?.serialNumber)
  const sessionAt = (n: number): string => find(n, ({ actor }) => actor.session)
  const workloads = workloadsOf(size)
  /** From the middle of the list on: their number of entries is that of most. */
  const usual = (n: number): number => Math.floor(workloads / 2) + (n % Math.floor(workloads / 2))
  const spiffeId = (workload: number): string => `spiffe://bench.example/bench/app-${workload}`
  const timeAt = (n: number): Date => new Date(entryAt(shape, n).time)
  const tenMinutes = (n: number): { since: string; until: string } => {
    const since = timeAt(spread(n, size))
    return { since: since.toISOString(), until: new Date(since.getTime() + 600_000).toISOString() }
  }
  /** Serial numbers of certificates that are still valid. */
  const recent = (n: number): number => size - 1 - (n + 1) * Math.min(1000, Math.floor(size / 200))
  return [
    { name: 'by SPIFFE ID, a usual one', ask: (n) => search({ spiffeId: spiffeId(usual(n)) }) },
    { name: 'by SPIFFE ID, the busiest ones', ask: (n) => search({ spiffeId: spiffeId(n % 5) }) },
    { name: 'by serial number', ask: (n) => search({ serialNumber: serialAt(spread(n, size)) }) },
    { name: 'by session', ask: (n) => search({ session: sessionAt(spread(n, size)) }) },
    { name: 'by action in ten minutes', ask: (n) => search({ action: 'credentials.issue', ...tenMinutes(n) }) },
    { name: 'by rare action in ten minutes', ask: (n) => search({ action: 'revocation.create', ...tenMinutes(n) }) },
    { name: 'by path of a secret', ask: (n) => search({ path: `filled/app-${usual(n)}/db` }) },
    { name: 'by operator', ask: (n) => search({ actor: `operator-${n % 20}` }) },
    { name: 'by operator, an unknown one', ask: (n) => search({ actor: `nobody-${n}` }) },
    { name: 'inclusion proof', ask: (n) => ({ method: 'GET', path: `/api/v1/audit/entries/1/${spread(n, size)}` }) },
    {
      name: 'consistency proof',
      ask: (n) => ({ method: 'GET', path: `/api/v1/audit/consistency?from=${1 + spread(n, size - 1)}&to=${size}` }),
    },
    { name: 'revocation by serial number', ask: (n) => revoke({ serialNumber: serialAt(recent(n)) }) },
    { name: 'revocation by SPIFFE ID, a usual one', ask: (n) => revoke({ spiffeId: spiffeId(usual(n)) }) },
    { name: 'revocation by SPIFFE ID, the busiest one', ask: () => revoke({ spiffeId: spiffeId(0) }), max: 1 },
  ]
}
