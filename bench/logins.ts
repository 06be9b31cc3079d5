/**
 * Logins with a password: whether their time tells a stranger which operators exist, and what a flood of them takes from
 * issuances and memory.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { httpRequest, makeRequests } from './issuing.ts'
import { exchange, openConnection } from './load.ts'
import { printRow, printText, printTimes } from './print.ts'
import { type Call, caller } from './register.ts'
import type { Serving } from './serving.ts'
import { welch } from './welch.ts'

/** The caller's address is what the requests say: each address and each name has few tries a minute. */
export const anyAddress = { PURSER_TRUSTED_PROXIES: '127.0.0.0/8' }

const password = 'seven swans on the lake'
const wrong = 'seven swans on the leak'

let addresses = 0
const login = (operator: string): string => {
  const n = ++addresses
  const from = `198.${18 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`
  return httpRequest('POST', '/api/v1/sessions', { operator, password: wrong }, { 'x-forwarded-for': from })
}

const nameOf = (n: number): string => `operator-${n}`

async function createOperators(call: Call, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await call('POST', '/api/v1/operators', { name: nameOf(n), role: 'auditor' })
    await call('POST', `/api/v1/operators/${nameOf(n)}:password`, { password })
  }
}

/** Wrong passwords of operators and of unknown names in turn, on one connection. */
async function enumeration(serving: Serving, tries: number, operators: number): Promise<void> {
  const socket = await openConnection({ host: '127.0.0.1', ...serving })
  const times: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] }
  async function attempt(kind: 'known' | 'unknown', operator: string): Promise<void> {
    const began = performance.now()
    const { status, text } = await exchange(socket, login(operator))
    if (status !== 401) throw new Error(text)
    times[kind].push(performance.now() - began)
  }
  for (let n = 0; n < tries; n++) {
    const attempts = [() => attempt('known', nameOf(n % operators)), () => attempt('unknown', `stranger-${n}`)]
    for (const next of n % 2 === 0 ? attempts : attempts.toReversed()) await next()
  }
  socket.destroy()
  printTimes('wrong password of an operator', times.known)
  printTimes('unknown name', times.unknown)
  const { t, p, ratio } = welch(times.known, times.unknown)
  printText(
    `Welch’s t-test of ${tries} and ${tries}: t ${t.toFixed(2)}, p ${p.toFixed(3)}; ratio of medians ${ratio.toFixed(4)}`,
  )
}

/** Each client logs in again and again, on a connection each time, and waits as long as a refusal says. */
async function flood(
  serving: Serving,
  clients: number,
  outcomes: Map<string, number>,
  isOver: () => boolean,
): Promise<void> {
  async function attempt(operator: string): Promise<number> {
    const socket = await openConnection({ host: '127.0.0.1', ...serving })
    try {
      const { status, text } = await exchange(socket, login(operator))
      count(`answered ${status}`)
      return Number(/retry-after: (\d+)/i.exec(text)?.[1] ?? 0)
    } finally {
      socket.destroy()
    }
  }
  const count = (outcome: string): unknown => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  async function client(n: number): Promise<void> {
    while (!isOver()) {
      const seconds = await attempt(`flood-${n}-${addresses}`).catch(() => (count('not connected'), 1))
      for (let waited = 0; waited < seconds && !isOver(); waited += 0.25) await pause(250)
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, n) => client(n)))
}

/** The largest resident memory that a process of them had so far, in MB. */
function peakMemory(pids: readonly number[]): number {
  const kilobytes = (pid: number): number =>
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  return Math.round(Math.max(...pids.map(kilobytes)) / 1024)
}

/** In turns, since the machine may be busy. */
async function beside(serving: Serving, count: number, rounds: number): Promise<void> {
  const outcomes = new Map<string, number>()
  const before = peakMemory(serving.workerPids())
  for (let round = 0; round < rounds; round++) {
    const jobs = await Promise.all([1, 2].map(() => makeRequests(count, 'x509', false, 'ES256')))
    const [alone, crowded] = jobs.map((requests) => ({ connections: 16, requests, warmUp: count / 4 }))
    if (!alone || !crowded) return
    printRow('certificates alone, 16c', await serving.measure(alone))
    const over = new AbortController()
    const logins = flood(serving, 500, outcomes, () => over.signal.aborted)
    const row = await serving.measure(crowded).finally(() => over.abort())
    await logins
    printRow('the same beside 500 logins at once', row)
  }
  printText(`logins: ${[...outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(', ')}`)
  printText(`peak memory of a worker: ${before} MB, then ${peakMemory(serving.workerPids())} MB`)
}

/** @param tries of each kind */
export async function logins(
  serving: Serving,
  { tries, count, rounds }: { tries: number; count: number; rounds: number },
): Promise<void> {
  const operators = 20
  await createOperators(caller(serving, serving.admin), operators)
  await enumeration(serving, tries, operators)
  await beside(serving, count, rounds)
}
