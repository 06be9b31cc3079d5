import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Summary, createSummaries } from '../../src/http/refusal-summaries.ts'

const numbers = {
  addressPerSecond: 10,
  publicPerSecond: 10,
  attestorPerSecond: 10,
  burstSeconds: 1,
  refusalsPerMinute: 6,
  allRefusalsPerMinute: 30,
}

function createTestSummaries(workers = 1, change: Partial<typeof numbers> = {}) {
  let time = 1_700_000_000_000
  const summaries = createSummaries({ limits: { ...numbers, ...change }, workers, now: () => time })
  return { ...summaries, pass: (ms: number) => void (time += ms), time: () => time }
}

const refusal = { attestor: 'prod', reason: 'no_workload', address: '198.51.100.9' } as const

test('the first refusals of an anonymous caller are recorded one by one, the others as one entry a minute with their number', () => {
  const { noteRefusal, dueSummaries, pass, time } = createTestSummaries()
  const start = time()
  const answers = Array.from({ length: 10 }, () => noteRefusal(refusal))
  expect(answers).toEqual([...Array<string>(6).fill('record'), ...Array<string>(4).fill('summarise')])
  pass(59_999)
  expect(dueSummaries()).toEqual([])
  pass(1)
  expect(dueSummaries()).toEqual([
    { attestor: 'prod', reason: 'no_workload', addressPrefix: '198.51.100.9', count: 4, since: start },
  ])
  expect(dueSummaries()).toEqual([])
  expect(noteRefusal(refusal)).toBe('record')
})

test('a refusal of a rate limit is only counted', () => {
  const { noteRefusal, dueSummaries } = createTestSummaries()
  expect(noteRefusal({ reason: 'rate_limited', address: undefined })).toBe('summarise')
  expect(dueSummaries({ all: true })).toMatchObject([{ reason: 'rate_limited', addressPrefix: 'unknown', count: 1 }])
})

test('requests for unknown paths are only counted, because every scanner sends them', () => {
  const { noteRefusal, dueSummaries } = createTestSummaries()
  for (const reason of ['not_found', 'method_not_allowed'] as const) {
    expect(noteRefusal({ reason, address: '198.51.100.9' })).toBe('summarise')
  }
  expect(dueSummaries({ all: true }).map((summary) => summary.reason)).toEqual(['not_found', 'method_not_allowed'])
})

describe('refusals of a verified proof', () => {
  const big = { refusalsPerMinute: 60, allRefusalsPerMinute: 100 }
  const proven = (identity: string, more: { singleUseProof?: string } = {}) => ({
    reason: 'no_workload' as const,
    address: '198.51.100.9',
    proven: { attestor: 'ci', identity, ...more },
  })
  const recorded = (count: number, note: (n: number) => 'record' | 'summarise'): number =>
    Array.from({ length: count }, (_, n) => note(n)).filter((answer) => answer === 'record').length

  test('of one identity are recorded up to its limit, whatever its addresses, and use up nothing of anonymous callers', () => {
    const { noteRefusal, dueSummaries, pass } = createTestSummaries(1, big)
    const flood = () => recorded(200, (n) => noteRefusal({ ...proven('a'), address: `10.0.0.${n % 20}` }))
    expect(flood()).toBe(6)
    const due = dueSummaries({ all: true })
    expect(due.reduce((sum, { count }) => sum + count, 0)).toBe(194)
    expect(due).toHaveLength(20)
    expect(due[0]).toMatchObject({ attestor: 'ci', reason: 'no_workload' })
    expect(recorded(200, () => noteRefusal(refusal))).toBe(60)
    pass(60_000)
    expect(flood()).toBe(6)
  })

  test('of one single-use proof are recorded once for each reason', () => {
    const { noteRefusal, pass } = createTestSummaries(1, big)
    const refused = proven('a', { singleUseProof: 'p1' })
    expect(recorded(50, () => noteRefusal(refused))).toBe(1)
    expect(recorded(50, () => noteRefusal({ ...refused, reason: 'proof_replayed' }))).toBe(1)
    pass(600_000)
    expect(recorded(50, () => noteRefusal(refused))).toBe(0)
    expect(recorded(50, () => noteRefusal(proven('a', { singleUseProof: 'p2' })))).toBe(1)
  })

  test('of many identities without an entry leave room for registered ones and for other attestors', () => {
    const { noteRefusal } = createTestSummaries(1, big)
    expect(recorded(1_000, (n) => noteRefusal(proven(`stranger ${n}`)))).toBe(10)
    expect(noteRefusal({ ...proven('web'), reason: 'blocked' })).toBe('record')
    const elsewhere = { ...proven('x'), proven: { attestor: 'prod', identity: 'x' } }
    expect(noteRefusal(elsewhere)).toBe('record')
    expect(recorded(1_000, (n) => noteRefusal({ ...proven(`job ${n}`), reason: 'not_granted' }))).toBe(99)
  })
})

test('anonymous callers with many addresses share one limit', () => {
  const { noteRefusal, dueSummaries, pass } = createTestSummaries()
  const flood = (): number =>
    Array.from({ length: 5_000 }, (_, i) =>
      noteRefusal({ ...refusal, address: `2001:db8:0:${i.toString(16)}::1` }),
    ).filter((a) => a === 'record').length
  expect(flood()).toBe(30)
  const due = dueSummaries({ all: true })
  // A thousand separate limits, and one for all others.
  expect(due).toHaveLength(1_001)
  expect(due.reduce((sum, s) => sum + s.count, 0)).toBe(4_970)
  expect(due.at(-1)).toMatchObject({ addressPrefix: '*', reason: 'no_workload', count: 3_970 })
  pass(60_000)
  expect(flood()).toBe(30)
})

test('the limit is divided by the workers', () => {
  const { noteRefusal } = createTestSummaries(3)
  expect(Array.from({ length: 4 }, () => noteRefusal(refusal))).toEqual(['record', 'record', 'summarise', 'summarise'])
})

test('each attestor, reason and address has an entry of its own', () => {
  const { noteRefusal, dueSummaries } = createTestSummaries()
  const limitedAt = (attestor: string | undefined, address: string) =>
    noteRefusal({ attestor, reason: 'rate_limited', address })
  limitedAt('a', '192.0.2.1')
  limitedAt('a', '192.0.2.1')
  limitedAt(undefined, '192.0.2.1')
  limitedAt('b', '192.0.2.1')
  limitedAt('a', '192.0.2.2')
  for (let i = 0; i < 7; i++) noteRefusal({ attestor: 'a', reason: 'proof_expired', address: '192.0.2.1' })
  expect(dueSummaries({ all: true }).map((s) => [s.attestor, s.reason, s.addressPrefix, s.count])).toEqual([
    ['a', 'rate_limited', '192.0.2.1', 2],
    [undefined, 'rate_limited', '192.0.2.1', 1],
    ['b', 'rate_limited', '192.0.2.1', 1],
    ['a', 'rate_limited', '192.0.2.2', 1],
    ['a', 'proof_expired', '192.0.2.1', 1],
  ])
})

test('a summary that could not be recorded keeps counting and stays due', () => {
  const { noteRefusal, dueSummaries, putBack, pass, time } = createTestSummaries()
  const start = time()
  const limited = { ...refusal, reason: 'rate_limited' } as const
  noteRefusal(limited)
  pass(60_000)
  const due = dueSummaries()
  noteRefusal(limited)
  putBack(due)
  expect(dueSummaries()).toMatchObject([{ count: 2, since: start }])
})

test('a clock that was set back delays no summary', () => {
  const { noteRefusal, dueSummaries, pass } = createTestSummaries()
  noteRefusal({ ...refusal, reason: 'rate_limited' })
  pass(-3_600_000)
  expect(dueSummaries()).toHaveLength(1)
})

test('every refusal is recorded or in exactly one summary', () => {
  const step = fc.record({
    attestor: fc.constantFrom('a', 'b', undefined),
    reason: fc.constantFrom('no_workload' as const, 'rate_limited' as const),
    address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'),
    wait: fc.integer({ min: 0, max: 20_000 }),
    collect: fc.constantFrom('no', 'yes', 'fails'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { noteRefusal, dueSummaries, putBack, pass } = createTestSummaries()
      let recorded = 0
      const out: Summary[] = []
      for (const { wait, collect, ...refused } of steps) {
        if (noteRefusal(refused) === 'record') recorded++
        pass(wait)
        if (collect === 'yes') out.push(...dueSummaries())
        if (collect === 'fails') putBack(dueSummaries())
      }
      out.push(...dueSummaries({ all: true }))
      expect(recorded + out.reduce((sum, s) => sum + s.count, 0)).toBe(steps.length)
    }),
  )
})
