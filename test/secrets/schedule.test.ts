/** The start of rotations in the hours of a time zone, across both clock changes. */
import { assert, constantFrom, date, integer, nat, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Schedule, checkSchedule, nextRun } from '../../src/secrets/rotation/schedule.ts'

const zeros = () => Buffer.alloc(4)
const next = (schedule: Schedule, after: string, random = zeros) =>
  nextRun(schedule, new Date(after), random)?.toISOString()
const berlin = (cron: string): Schedule => ({ cron, timeZone: 'Europe/Berlin' })

describe('next', () => {
  it.each([
    ['plain, winter', berlin('30 3 * * 1'), '2026-11-25T12:00:00Z', '2026-11-30T02:30:00.000Z'],
    ['plain, summer', berlin('30 3 * * 1'), '2026-07-01T12:00:00Z', '2026-07-06T01:30:00.000Z'],
    ['UTC by default', { cron: '0 0 1 * *' }, '2026-11-25T12:00:00Z', '2026-12-01T00:00:00.000Z'],
    ['never the moment itself', { cron: '0 12 * * *' }, '2026-11-25T12:00:00Z', '2026-11-26T12:00:00.000Z'],
    [
      'an hour that is skipped: right after it',
      berlin('30 2 * * *'),
      '2026-03-28T12:00:00Z',
      '2026-03-29T01:00:00.000Z',
    ],
    ['the day after that', berlin('30 2 * * *'), '2026-03-29T02:00:00Z', '2026-03-30T00:30:00.000Z'],
    ['an hour that occurs twice: the first', berlin('30 2 * * *'), '2026-10-24T12:00:00Z', '2026-10-25T00:30:00.000Z'],
    ['and not the second', berlin('30 2 * * *'), '2026-10-25T00:30:00Z', '2026-10-26T01:30:00.000Z'],
    ['intervals continue through it', berlin('*/30 * * * *'), '2026-10-25T00:30:00Z', '2026-10-25T01:00:00.000Z'],
    [
      'half an hour of shift',
      { cron: '15 2 * * *', timeZone: 'Australia/Lord_Howe' },
      '2026-10-03T00:00:00Z',
      '2026-10-03T15:30:00.000Z',
    ],
    ['a leap day', { cron: '0 0 29 2 *' }, '2026-11-25T12:00:00Z', '2028-02-29T00:00:00.000Z'],
  ] as const)('%s', (_, schedule, after, expected) => {
    expect(next(schedule, after)).toBe(expected)
  })

  it('is delayed by at most the jitter, in whole seconds', () => {
    const schedule = { cron: '0 12 * * *', jitterSeconds: 600 }
    expect(next(schedule, '2026-11-25T00:00:00Z')).toBe('2026-11-25T12:00:00.000Z')
    expect(next(schedule, '2026-11-25T00:00:00Z', () => Buffer.alloc(4, 255))).toBe('2026-11-25T12:09:59.000Z')
    const random = uint8Array({ minLength: 4, maxLength: 4 })
    assert(
      property(random, integer({ min: 1, max: 86_400 }), (bytes, jitterSeconds) => {
        const at = nextRun({ cron: '0 12 * * *', jitterSeconds }, new Date('2026-11-25T00:00:00Z'), () =>
          Buffer.from(bytes),
        )
        const delay = ((at?.getTime() ?? 0) - Date.parse('2026-11-25T12:00:00Z')) / 1000
        expect(delay >= 0 && delay < jitterSeconds && Number.isInteger(delay)).toBe(true)
      }),
    )
  })

  it('is in the future, in any zone, at any time, and matches the expression there', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Pacific/Apia', 'America/St_Johns']
    const moment = date({ min: new Date('2020-01-01'), max: new Date('2035-01-01'), noInvalidDate: true })
    assert(
      property(moment, constantFrom(...zones), nat(59), nat(23), (after, timeZone, minute, hour) => {
        const at = nextRun({ cron: `${minute} ${hour} * * *`, timeZone }, after, zeros)
        if (!at) throw new Error('never')
        expect(at.getTime()).toBeGreaterThan(after.getTime())
        expect(at.getTime() - after.getTime()).toBeLessThanOrEqual(49 * 3600_000)
        const format = new Intl.DateTimeFormat('en-GB', {
          timeZone,
          hour: '2-digit',
          minute: '2-digit',
          hourCycle: 'h23',
        })
        const expected = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
        // The one exception is the hour that the clocks skip in spring.
        const offsetsDiffer =
          new Set(
            [-3, 3].map(
              (h) =>
                new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
                  .format(at.getTime() + h * 3600_000)
                  .split('GMT')[1],
            ),
          ).size > 1
        expect(format.format(at) === expected || offsetsDiffer).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('refused', () => {
  const now = new Date('2026-11-25T12:00:00Z')
  it.each([
    ['@daily'],
    ['* * * * * *'],
    ['0 0 * *'],
    ['61 * * * *'],
    ['0 24 * * *'],
    ['0 0 32 * *'],
    ['0 0 * * 8'],
    ['2026-01-01T00:00:00'],
    ['0  0 * * *'],
    ['0 0 30 2 *'],
    ['x x x x x'],
    ['0 0 * * MON-'],
  ])('the expression %s', (cron) => {
    expect(checkSchedule({ cron }, now).map((problem) => problem.pointer)).toEqual(['/cron'])
  })

  it.each(['Mars/Olympus', '__proto__', '', 'Europe/Berlin\n'])('the time zone %j', (timeZone) => {
    expect(checkSchedule({ cron: '0 0 * * *', timeZone }, now).map((problem) => problem.pointer)).toEqual(['/timeZone'])
  })

  it('a jitter beyond the window', () => {
    const schedule = { cron: '0 0 * * *', windowSeconds: 60, jitterSeconds: 61 }
    expect(checkSchedule(schedule, now).map((problem) => problem.pointer)).toEqual(['/jitterSeconds'])
    expect(checkSchedule({ ...schedule, jitterSeconds: 60 }, now)).toEqual([])
  })

  it('common notations for names and steps', () => {
    for (const cron of ['0 3 * * MON', '*/15 8-18 * * 1-5', '0 0 1,15 * *', '0 0 1 JAN *'])
      expect([cron, checkSchedule({ cron }, now)]).toEqual([cron, []])
  })
})
