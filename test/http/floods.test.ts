/**
 * Floods of anonymous requests are refused early, and counted instead of recorded one by one (docs/architecture.md,
 * Limits).
 */
import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { startSummaryEntries } from '../../src/http/summary-entries.ts'
import { refuse } from '../../src/errors.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { testDatabase } from '../support/database.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { ask, open } from '../support/raw-http.ts'

const limits = {
  PURSER_LIMIT_ADDRESS_PER_SECOND: '1',
  PURSER_LIMIT_PUBLIC_PER_SECOND: '1',
  PURSER_LIMIT_BURST_SECONDS: '40',
  PURSER_LIMIT_REFUSALS_PER_MINUTE: '5',
}

async function started(
  env: Record<string, string> = {},
): Promise<{ purser: TestPurser; stopAndRead: () => ReturnType<typeof readLog> }> {
  const database = await testDatabase()
  const rootKey = randomBytes(32).toString('base64')
  const purser = await startPurser({ env: { ...limits, ...env }, existing: { url: database.url, rootKey, admin: '' } })
  const db = openPostgres({ url: database.url })
  let stopped = false
  const stop = async (): Promise<void> => {
    if (!stopped) await purser.stop()
    stopped = true
  }
  onTestFinished(async () => {
    await stop()
    await db.close()
    await database.drop()
  })
  return {
    purser,
    async stopAndRead() {
      await stop()
      return readLog({ knex: db.knex })
    },
  }
}

describe('a flood', () => {
  it('of forged proofs is verified and recorded up to a limit, and counted beyond it', async () => {
    const { purser, stopAndRead } = await started()
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    const forger = await createIssuer()
    const token = await forger.token()
    const answers = await Promise.all(
      Array.from({ length: 150 }, () => purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token } })),
    )
    const judged = answers.filter((answer) => answer.status === 401)
    const limited = answers.filter((answer) => answer.status === 429)
    expect(judged.length).toBeGreaterThanOrEqual(40)
    expect(judged.length + limited.length).toBe(150)
    for (const { body, headers } of limited) {
      expect(body.code).toBe('rate_limited')
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
    const entries = (await stopAndRead()).filter((entry) => entry.outcome === 'refused')
    const alone = entries.filter((entry) => entry.action === 'credentials.issue')
    expect(alone).toHaveLength(5)
    expect(alone.map((entry) => entry.reason)).toEqual(alone.map(() => 'proof_signature'))
    const summaries = entries.filter((entry) => entry.action === 'request.summary')
    const summaryRows = summaries.map(({ reason, actor, source, detail }) => [
      reason,
      [actor.attestor, source?.ip, detail?.count],
    ])
    expect(summaryRows).toHaveLength(2)
    expect(Object.fromEntries(summaryRows)).toEqual({
      proof_signature: ['lab', '127.0.0.1', judged.length - 5],
      rate_limited: [undefined, '127.0.0.1', limited.length],
    })
  })

  describe('of valid proofs that no entry matches', () => {
    const generous = { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000', PURSER_LIMIT_REFUSALS_PER_MINUTE: '60' }
    const behindProxy = { ...generous, PURSER_TRUSTED_PROXIES: '127.0.0.0/8' }
    const from = (n: number) => ({ headers: { 'x-forwarded-for': `203.0.113.${n % 20}` } })
    const present = (purser: TestPurser, n: number, token: string, more = {}) =>
      purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token }, ...more }, from(n))

    async function floodWith(tokenOf: (issuer: Issuer, n: number) => Promise<string>, singleUse: boolean) {
      const { purser, stopAndRead } = await started(behindProxy)
      const issuer = await createIssuer()
      await registerLab(purser, issuer, { singleUse })
      const registered = await issuer.token()
      const tokens = await Promise.all(Array.from({ length: 300 }, (_, n) => tokenOf(issuer, n)))
      const answers = await Promise.all(tokens.map((token, n) => present(purser, n, token)))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
      const refused = await present(purser, 0, registered, { jwts: [{ audience: ['nobody'] }] })
      expect(refused.status).toBe(403)
      const entries = (await stopAndRead()).filter((entry) => entry.outcome === 'refused')
      expect(entries.find(({ reason }) => reason === 'not_granted')).toMatchObject({ actor: { attestor: 'lab' } })
      const strangers = entries.filter(({ reason }) => reason === 'no_workload')
      const alone = strangers.filter(({ action }) => action === 'credentials.issue')
      const summaries = strangers.filter(({ action }) => action === 'request.summary')
      for (const { actor } of summaries) expect(actor).toEqual({ kind: 'anonymous', attestor: 'lab' })
      const counted = summaries.reduce((sum, { detail }) => sum + Number(detail?.count), 0)
      expect(alone.length + counted).toBe(300)
      expect(summaries).toHaveLength(20)
      return alone.length
    }

    it('replayed from twenty addresses has one entry for a single-use proof', async () => {
      let token: Promise<string> | undefined
      const replay = (issuer: Issuer) => (token ??= issuer.token({ sub: 'stranger' }))
      expect(await floodWith(replay, true)).toBe(1)
    })

    it('replayed from twenty addresses has the entries of one identity for a reusable proof', async () => {
      const strangerToken = (issuer: Issuer) => issuer.token({ sub: 'stranger' })
      // An allowance of 6, which grows by one in ten seconds.
      expect([6, 7, 8]).toContain(await floodWith(strangerToken, false))
    })

    it('of as many identities has the entries of one attestor', async () => {
      const identity = (issuer: Issuer, n: number) => issuer.token({ sub: `stranger-${n}` })
      // An allowance of 120, which grows by two a second.
      const alone = await floodWith(identity, false)
      expect(alone).toBeGreaterThanOrEqual(120)
      expect(alone).toBeLessThan(180)
    })
  })

  it('of made-up bootstrap tokens has no further entries', async () => {
    const { purser, stopAndRead } = await started()
    for (let n = 0; n < 30; n++) {
      const token = `purser_boot_${randomBytes(32).toString('base64url')}`
      const answer = await purser.call('POST', '/api/v1/bootstrap', undefined, { token })
      expect([401, 429]).toContain(answer.status)
    }
    const entries = (await stopAndRead()).filter((entry) => entry.outcome === 'refused')
    expect(entries.filter((entry) => entry.action === 'bootstrap.exchange')).toHaveLength(5)
    expect(new Set(entries.map((entry) => entry.actor.kind))).toEqual(new Set(['anonymous']))
  })

  it('of a known API token is recorded up to the limit of its address, and counted above it', async () => {
    const { purser, stopAndRead } = await started()
    const answers = await Promise.all(
      Array.from({ length: 100 }, () =>
        purser.call('GET', '/api/v1/workloads/none', undefined, { token: purser.admin }),
      ),
    )
    const limited = answers.filter((answer) => answer.status === 429)
    expect(limited.length).toBeGreaterThan(20)
    const entries = (await stopAndRead()).filter((entry) => entry.reason === 'rate_limited')
    expect(entries.map(({ action, detail }) => [action, detail?.count])).toEqual([['request.summary', limited.length]])
  })

  it('of unknown paths has one entry with their number', async () => {
    const { purser, stopAndRead } = await started()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => ask(purser.url, `GET /wp-admin/${n}.php HTTP/1.1`)),
    )
    const statuses = answers.map((answer) => answer.status)
    expect(new Set(statuses)).toEqual(new Set([404, 429]))
    const entries = (await stopAndRead()).filter((entry) => entry.outcome === 'refused')
    const count = (status: number): number => statuses.filter((other) => other === status).length
    expect(entries.map((entry) => entry.action)).toEqual(['request.summary', 'request.summary'])
    expect(Object.fromEntries(entries.map((entry) => [entry.reason, entry.detail?.count]))).toEqual({
      not_found: count(404),
      rate_limited: count(429),
    })
  })

  it('is refused before a body is read, and never at health checks', async () => {
    const { purser } = await started()
    while ((await purser.call('POST', '/api/v1/credentials', {})).status !== 429);
    const { socket, text, closed } = await open(purser.url)
    socket.write('POST /api/v1/credentials HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n')
    socket.write('Connection: close\r\nContent-Length: 60000\r\n\r\n')
    await closed
    expect(text()).toMatch(/^HTTP\/1\.1 429 /)
    for (let n = 0; n < 100; n++) expect((await purser.call('GET', '/healthz')).status).toBe(200)
  })
})

describe('summaries', () => {
  afterEach(() => vi.useRealTimers())
  const due = { reason: 'no_workload', addressPrefix: '198.51.100.9', count: 7, since: 0 } as const

  it('that cannot be recorded keep counting and are recorded later', async () => {
    vi.useFakeTimers()
    const notes: unknown[] = []
    const back: unknown[] = []
    const errors: unknown[] = []
    let waiting = [due]
    let isDown = true
    const summaries = startSummaryEntries({
      limits: {
        dueSummaries: () => waiting.splice(0),
        putBack: (rest) => {
          back.push(...rest)
          waiting = [...waiting, ...rest] as typeof waiting
        },
      },
      recorder: {
        note: async (opening, _, part) => {
          if (isDown) throw refuse('log_unavailable')
          notes.push([opening.action, part.reason, part.detail])
          return { result: undefined, epoch: 1, index: 0, receipt: () => Promise.reject(new Error('none')) }
        },
      },
      metrics: { summarised: () => undefined },
      now: () => new Date(0),
      randomBytes,
      onError: (error) => errors.push(error),
    })
    await vi.advanceTimersByTimeAsync(5_000)
    expect([notes, back, errors.length]).toEqual([[], [due], 1])
    isDown = false
    await vi.advanceTimersByTimeAsync(5_000)
    expect(notes).toEqual([['request.summary', 'no_workload', { count: 7, since: '1970-01-01T00:00:00.000Z' }]])
    await summaries.stop()
    expect(notes).toHaveLength(1)
  })
})
