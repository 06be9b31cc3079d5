import * as fc from 'fast-check'
import { expect, test } from 'vitest'
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

/** How many of `tries` are let through. */
const through = (tries: number, take: () => { ok: boolean }): number =>
  Array.from({ length: tries }, take).filter((v) => v.ok).length

const stranger = '198.51.100.9'

test('an address gets its burst, then its rate, and is told when to come back', () => {
  const { limits, pass } = limited()
  const attest = () => limits.take({ kind: 'attest', address: stranger })
  expect(through(100, attest)).toBe(20)
  expect(attest()).toEqual({ ok: false, retryAfterSeconds: 1 })
  pass(1_000)
  expect(through(100, attest)).toBe(10)
  pass(3_600_000)
  expect(through(100, attest)).toBe(20)
})

test('one IPv6 /64 is one stranger; other addresses and other kinds are not touched', () => {
  const { limits } = limited()
  for (let i = 0; i < 100; i++) limits.take({ kind: 'attest', address: `2001:db8:0:1::${i.toString(16)}` })
  expect(limits.take({ kind: 'attest', address: '2001:db8:0:1:ffff::1' }).ok).toBe(false)
  expect(limits.take({ kind: 'attest', address: '2001:db8:0:2::1' }).ok).toBe(true)
  expect(limits.take({ kind: 'api', address: '2001:db8:0:1::1' }).ok).toBe(true)
  expect(through(200, () => limits.take({ kind: 'public', address: '2001:db8:0:1::1' }))).toBe(100)
  expect(through(200, () => limits.take({ kind: 'none', address: '2001:db8:0:1::1' }))).toBe(200)
})

test('callers without an address share one limit rather than none', () => {
  const { limits } = limited()
  expect(through(100, () => limits.take({ kind: 'attest', address: undefined }))).toBe(20)
})

test('the limits are divided by the workers, but one request is always possible', () => {
  expect(through(100, () => limited(1).limits.take({ kind: 'attest', address: stranger }))).toBe(100)
  const two = limited(2)
  expect(through(100, () => two.limits.take({ kind: 'attest', address: stranger }))).toBe(10)
  const many = limited(64)
  expect(through(100, () => many.limits.take({ kind: 'attest', address: stranger }))).toBe(1)
  many.pass(6_400)
  expect(through(100, () => many.limits.take({ kind: 'attest', address: stranger }))).toBe(1)
})

test('an attestor has a limit over all strangers, and another attestor is not touched', () => {
  const { limits } = limited()
  let i = 0
  expect(through(200, () => limits.takeAttestor({ attestor: 'prod', address: `10.0.0.${i++ % 250}` }))).toBe(40)
  expect(limits.takeAttestor({ attestor: 'ci', address: stranger }).ok).toBe(true)
})

test('strangers that name an attestor cannot lock out whoever proved itself there lately', () => {
  const { limits, pass } = limited()
  limits.proven({ attestor: 'prod', address: '10.1.1.1' })
  for (let i = 0; i < 1_000; i++) limits.takeAttestor({ attestor: 'prod', address: `203.0.113.${i % 250}` })
  expect(limits.takeAttestor({ attestor: 'prod', address: stranger }).ok).toBe(false)
  expect(limits.takeAttestor({ attestor: 'prod', address: '10.1.1.1' }).ok).toBe(true)
  expect(through(200, () => limits.takeAttestor({ attestor: 'prod', address: '10.1.1.1' }))).toBe(39)
  // Proof at one attestor is none at another, and it wears off.
  for (let i = 0; i < 1_000; i++) limits.takeAttestor({ attestor: 'ci', address: `203.0.113.${i % 250}` })
  expect(limits.takeAttestor({ attestor: 'ci', address: '10.1.1.1' }).ok).toBe(false)
  pass(3_600_000)
  for (let i = 0; i < 1_000; i++) limits.takeAttestor({ attestor: 'prod', address: `203.0.113.${i % 250}` })
  expect(limits.takeAttestor({ attestor: 'prod', address: '10.1.1.1' }).ok).toBe(false)
})

test('names cannot be joined into other names', () => {
  const { limits } = limited()
  limits.proven({ attestor: 'a","b', address: 'x' })
  for (let i = 0; i < 1_000; i++) limits.takeAttestor({ attestor: 'a', address: stranger })
  expect(limits.takeAttestor({ attestor: 'a', address: 'b' }).ok).toBe(false)
})

test('buckets are forgotten by last use, never more than the bound', () => {
  const buckets = createBuckets({ perSecond: 1, burst: 1, most: 3 }, () => 0)
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
      const buckets = createBuckets({ perSecond: 5, burst: 10, most: 10 }, () => time)
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
