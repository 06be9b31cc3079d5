import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLimits } from '../../src/http/limits.ts'
import { createBuckets } from '../../src/http/token-buckets.ts'

const numbers = {
  addressPerSecond: 10,
  publicPerSecond: 50,
  attestorPerSecond: 20,
  burstSeconds: 2,
  refusalsPerMinute: 6,
  allRefusalsPerMinute: 30,
}

function limited(workers = 1, change: Partial<typeof numbers> = {}) {
  let time = 1_700_000_000_000
  const limits = createLimits({ limits: { ...numbers, ...change }, workers, now: () => time })
  return { limits, pass: (ms: number) => void (time += ms) }
}

/** The number of allowed requests among `tries`. */
const countAllowed = (tries: number, take: () => { ok: boolean }): number =>
  Array.from({ length: tries }, take).filter((v) => v.ok).length

const stranger = '198.51.100.9'

test('an address has its burst, then its rate, and learns when to retry', () => {
  const { limits, pass } = limited()
  const attest = () => limits.take({ kind: 'attest', address: stranger })
  expect(countAllowed(100, attest)).toBe(20)
  expect(attest()).toEqual({ ok: false, retryAfterSeconds: 1 })
  pass(1_000)
  expect(countAllowed(100, attest)).toBe(10)
  pass(3_600_000)
  expect(countAllowed(100, attest)).toBe(20)
})

test('one IPv6 /64 shares a limit; other addresses and kinds are not affected', () => {
  const { limits } = limited()
  for (let i = 0; i < 100; i++) limits.take({ kind: 'attest', address: `2001:db8:0:1::${i.toString(16)}` })
  expect(limits.take({ kind: 'attest', address: '2001:db8:0:1:ffff::1' }).ok).toBe(false)
  expect(limits.take({ kind: 'attest', address: '2001:db8:0:2::1' }).ok).toBe(true)
  expect(limits.take({ kind: 'api', address: '2001:db8:0:1::1' }).ok).toBe(true)
  expect(countAllowed(200, () => limits.take({ kind: 'public', address: '2001:db8:0:1::1' }))).toBe(100)
  expect(countAllowed(200, () => limits.take({ kind: 'none', address: '2001:db8:0:1::1' }))).toBe(200)
})

test('callers without an address share one limit rather than none', () => {
  const { limits } = limited()
  expect(countAllowed(100, () => limits.take({ kind: 'attest', address: undefined }))).toBe(20)
})

test('the limits are divided by the workers, but one request is always possible', () => {
  expect(countAllowed(100, () => limited(1).limits.take({ kind: 'attest', address: stranger }))).toBe(100)
  const two = limited(2)
  expect(countAllowed(100, () => two.limits.take({ kind: 'attest', address: stranger }))).toBe(10)
  const many = limited(64)
  expect(countAllowed(100, () => many.limits.take({ kind: 'attest', address: stranger }))).toBe(1)
  many.pass(6_400)
  expect(countAllowed(100, () => many.limits.take({ kind: 'attest', address: stranger }))).toBe(1)
})

describe('proofs at one attestor', () => {
  type Outcome = 'proven' | 'failed' | 'unjudged'
  const roomy = { attestorPerSecond: 100 }
  /** Presents one proof, whose verification ends before the next is presented. */
  const present = ({ limits }: ReturnType<typeof limited>, address: string, outcome: Outcome, attestor = 'prod') => {
    const admission = limits.admitProof({ attestor, address })
    if (admission.ok) admission.settle(outcome)
    return { ok: admission.ok }
  }
  const forgers = (n: number): string => `203.0.113.${n % 20}`

  test('use up nothing while they are valid, or while the orchestrator is unreachable', () => {
    const object = limited()
    expect(countAllowed(1_000, () => present(object, stranger, 'proven'))).toBe(1_000)
    expect(countAllowed(1_000, () => present(object, '10.9.9.9', 'unjudged'))).toBe(1_000)
  })

  test('that fail use up the limit of their address first', () => {
    const object = limited(1, roomy)
    expect(countAllowed(1_000, () => present(object, stranger, 'failed'))).toBe(20)
    expect(object.limits.admitProof({ attestor: 'prod', address: stranger })).toEqual({
      ok: false,
      retryAfterSeconds: 1,
    })
    expect(countAllowed(1_000, () => present(object, '198.51.100.10', 'failed'))).toBe(20)
    expect(present(object, stranger, 'proven', 'ci')).toEqual({ ok: true })
    object.pass(1_000)
    expect(countAllowed(1_000, () => present(object, stranger, 'failed'))).toBe(10)
  })

  test('that fail from twenty addresses keep out no address that has not failed', () => {
    const object = limited(1, roomy)
    let n = 0
    expect(countAllowed(10_000, () => present(object, forgers(n++), 'failed'))).toBeLessThanOrEqual(220)
    expect(present(object, forgers(0), 'proven').ok).toBe(false)
    expect(countAllowed(500, () => present(object, `10.0.${n++ % 250}.1`, 'proven'))).toBe(500)
  })

  test('of an address that fails after a success use up nothing of new addresses', () => {
    const object = limited(1, roomy)
    for (let n = 0; n < 20; n++) present(object, forgers(n), 'proven')
    for (let n = 0; n < 10_000; n++) present(object, forgers(n), 'failed')
    expect(countAllowed(10, () => present(object, stranger, 'failed'))).toBe(10)
  })

  test('in progress count until they are verified', () => {
    const object = limited(1, roomy)
    const admissions = Array.from({ length: 50 }, () =>
      object.limits.admitProof({ attestor: 'prod', address: stranger }),
    )
    expect(admissions.filter(({ ok }) => ok)).toHaveLength(20)
    for (const admission of admissions) if (admission.ok) admission.settle('proven')
    expect(present(object, stranger, 'proven').ok).toBe(true)
  })

  test('that no entry matches count as failed ones', () => {
    const object = limited(1, roomy)
    const refused = { reason: 'no_workload' as const, address: stranger, proven: { attestor: 'prod', identity: 'x' } }
    const presentUnregistered = () => {
      const answer = present(object, stranger, 'proven')
      if (answer.ok) object.limits.noteRefusal(refused)
      return answer
    }
    expect(countAllowed(1_000, presentUnregistered)).toBe(20)
  })

  test('cannot collide with other names', () => {
    const object = limited(1, roomy)
    for (let n = 0; n < 1_000; n++) present(object, stranger, 'failed', 'a')
    expect(present(object, stranger, 'proven', `a","${stranger}`)).toEqual({ ok: true })
  })
})

test('buckets are evicted by last use, within the bound', () => {
  const buckets = createBuckets({ perSecond: 1, burst: 1, max: 3 }, () => 0)
  for (const name of ['a', 'b', 'c']) expect(buckets.take(name)).toBe(0)
  expect(buckets.take('a')).toBeGreaterThan(0)
  expect(buckets.take('d')).toBe(0)
  expect(buckets.take('a')).toBeGreaterThan(0)
  expect(buckets.take('b')).toBe(0)
})

test('over any time, with a clock that also goes back, no more than burst and rate pass', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -500, max: 2_000 }), { maxLength: 200 }), (steps) => {
      let time = 0
      let forward = 0
      let passed = 0
      const buckets = createBuckets({ perSecond: 5, burst: 10, max: 10 }, () => time)
      for (const step of steps) {
        time += step
        forward += Math.max(0, step)
        const wait = buckets.take('a')
        if (wait === 0) passed++
        else expect(wait).toBeLessThanOrEqual(1 / 5)
      }
      expect(passed).toBeLessThanOrEqual(10 + (forward / 1000) * 5)
    }),
  )
})
