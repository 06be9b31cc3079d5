import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bundleSequence } from '../../src/keys/bundle.ts'
import { publishedKeys, signingKey } from '../../src/keys/keys.ts'
import { type Lifetimes, endless, timesFor } from '../../src/keys/lifetimes.ts'
import { type Action, planRotation } from '../../src/keys/rotation.ts'
import type { KeyKind, KeyRow } from '../../src/store/rows.ts'
import { secondsFrom } from '../support/test-ca.ts'

const start = new Date('2026-01-01T00:00:00Z')
const at = (seconds: number): Date => secondsFrom(start, seconds)
const lifetimes: Lifetimes = {
  publish: 100,
  sign: { issuingCa: 1000, jwt: 700 },
  max: { x509: 300, jwt: 50 },
  rootCa: 100_000,
}

let count = 0
function row(kind: KeyKind, more: Partial<KeyRow> = {}): KeyRow {
  count++
  return {
    id: `${kind}-${count}`,
    kind,
    algorithm: 'ES256',
    publicKey: Buffer.from(`${count}`),
    wrapped: Buffer.of(1),
    wrappingKeyId: 'kek',
    createdAt: start,
    activeAt: start,
    retireAt: endless,
    goneAt: endless,
    ...(kind === 'issuing-ca' && { chain: 'PEM', issuerKeyId: 'root' }),
    ...(kind === 'root-ca' && { chain: 'PEM' }),
    ...more,
  }
}

const firstKeys = (): KeyRow[] => [
  row('root-ca', { id: 'root', ...timesFor('root-ca', lifetimes, start, 0) }),
  row('issuing-ca', timesFor('issuing-ca', lifetimes, start, 0)),
  row('jwt-es256', timesFor('jwt', lifetimes, start, 0)),
  row('jwt-rs256', timesFor('jwt', lifetimes, start, 0)),
  row('log', { epoch: 1, fromSize: 0 }),
]

const actions = (rows: KeyRow[], now: Date): Action[] => planRotation(rows, lifetimes, now).actions
const kinds = (list: Action[]): string[] => list.map((action) => (action.do === 'make' ? action.kind : action.do))
const withoutKind = (rows: KeyRow[], kind: KeyKind): KeyRow[] => rows.filter((row) => row.kind !== kind)

describe('faults', () => {
  test('without any key of a kind, the next one signs at once', () => {
    expect(actions(withoutKind(firstKeys(), 'jwt-es256'), at(5))).toEqual([
      { do: 'make', kind: 'jwt-es256', activeAt: at(5) },
    ])
  })

  test('no issuing CA is created without a root of ours', () => {
    expect(actions(withoutKind(withoutKind(firstKeys(), 'issuing-ca'), 'root-ca'), at(5))).toEqual([])
  })

  test('under a root that ends first, no further issuing CA is created repeatedly, and an operator is notified', () => {
    const rows = firstKeys()
    const [root, issuing] = rows
    Object.assign(root!, { goneAt: at(1300), retireAt: at(1300) })
    Object.assign(issuing!, { goneAt: at(1300) })
    const plan = planRotation(rows, lifetimes, at(950))
    expect(kinds(plan.actions)).not.toContain('issuing-ca')
    expect(plan.warnings).toContainEqual({ what: 'root_ends', keyId: 'root', at: at(1300) })
  })

  test('a missed rotation still publishes for the whole time, while the last key lasts', () => {
    const rows = firstKeys()
    // Retired at 1000, removed at 1300: at 1050 there is time left, at 1250 there is not.
    expect(
      actions(rows, at(1050)).find((action) => action.do === 'make' && action.kind === 'issuing-ca'),
    ).toMatchObject({
      activeAt: at(1150),
    })
    expect(
      actions(rows, at(1250)).find((action) => action.do === 'make' && action.kind === 'issuing-ca'),
    ).toMatchObject({
      activeAt: at(1275),
    })
    expect(
      actions(rows, at(1301)).find((action) => action.do === 'make' && action.kind === 'issuing-ca'),
    ).toMatchObject({
      activeAt: at(1301),
    })
  })

  test('a withdrawn key, and one that waits for an upstream CA, count as missing', () => {
    const rows = withoutKind(firstKeys(), 'jwt-rs256')
    rows.push(row('jwt-rs256', { ...timesFor('jwt', lifetimes, start, 0), withdrawnAt: at(1) }))
    const requested = row('issuing-ca', { activeAt: endless, goneAt: at(50_000) })
    delete requested.chain
    expect(kinds(actions([...rows, requested], at(2)))).toEqual(['jwt-rs256'])
    expect(kinds(actions([...rows, requested], at(950)))).toContain('issuing-ca')
  })

  test('an imported issuing CA is never followed by one of ours, whatever its state', () => {
    const imported = row('issuing-ca', { activeAt: at(10), retireAt: at(500), goneAt: at(800) })
    delete imported.issuerKeyId
    const rows = [...firstKeys(), imported]
    expect(kinds(actions(rows, at(450)))).not.toContain('issuing-ca')
    const alone = withoutKind(firstKeys(), 'issuing-ca').concat(imported)
    expect(planRotation(alone, lifetimes, at(450)).warnings).toEqual([
      { what: 'chain_ends', keyId: imported.id, at: at(800) },
    ])
    expect(kinds(actions(alone, at(801)))).not.toContain('issuing-ca')
    expect(
      kinds(
        actions(
          alone.map((key) => (key === imported ? { ...key, withdrawnAt: at(20) } : key)),
          at(30),
        ),
      ),
    ).toEqual([])
  })

  test('only an operator creates a root', () => {
    expect(kinds(actions(withoutKind(firstKeys(), 'root-ca'), at(950)))).not.toContain('root-ca')
  })
})

test('nothing is due before a publication ahead of retirement, then one key of each kind at that retirement', () => {
  const rows = firstKeys()
  expect(actions(rows, at(599))).toEqual([])
  expect(actions(rows, at(600))).toEqual([
    { do: 'make', kind: 'jwt-es256', activeAt: at(700) },
    { do: 'make', kind: 'jwt-rs256', activeAt: at(700) },
  ])
  expect(actions(rows, at(900)).filter((action) => action.do === 'make' && action.kind === 'issuing-ca')).toEqual([
    { do: 'make', kind: 'issuing-ca', activeAt: at(1000) },
  ])
})

test('an older log key ends after its overlap, and never the only one', () => {
  const [old, next] = [row('log', { epoch: 2, retireAt: at(100) }), row('log', { epoch: 2, fromSize: 7 })]
  const before = row('log', { epoch: 1, retireAt: at(50) })
  const logs = (list: KeyRow[], now: Date): Action[] => actions([...withoutKind(firstKeys(), 'log'), ...list], now)
  expect(logs([before, old, next], at(99))).toEqual([])
  expect(logs([before, old, next], at(100))).toEqual([{ do: 'end-log-key', id: old.id }])
  expect(logs([before, old], at(100))).toEqual([])
  expect(logs([before, { ...old, toSize: 9 }, next], at(100))).toEqual([])
})

/** Carries out a plan as the job does, without certificates. */
function carryOut(rows: KeyRow[], now: Date): void {
  for (const action of actions(rows, now)) {
    if (action.do !== 'make') continue
    const published = (action.activeAt.getTime() - now.getTime()) / 1000
    rows.push(row(action.kind, timesFor(action.kind === 'issuing-ca' ? action.kind : 'jwt', lifetimes, now, published)))
  }
}

const moments = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 5, maxLength: 60 })
const jwt = ['jwt-es256', 'jwt-rs256'] as const

test('whenever the job runs: a key always signs, after its publication, and stays until what it signed is expired', () => {
  fc.assert(
    fc.property(moments, (steps) => {
      const rows = firstKeys()
      const snapshot = { keys: new Map<string, KeyRow>() }
      let now = 0
      let sequence = 0
      let contents = ''
      const signed: { key: string; kind: KeyKind; until: number }[] = []
      for (const step of steps) {
        now += step
        const keys = new Map(rows.map((row) => [row.id, row]))
        Object.assign(snapshot, { keys })
        for (const kind of ['issuing-ca', ...jwt] as const) {
          const max = kind === 'issuing-ca' ? lifetimes.max.x509 : lifetimes.max.jwt
          const key = signingKey(snapshot, kind, at(now))
          // The job may have paused for longer than the last key lives: then there is none until it runs.
          if (!key) continue
          if (key.createdAt > start) {
            const published = (key.activeAt.getTime() - key.createdAt.getTime()) / 1000
            expect(published).toBeGreaterThanOrEqual(0)
          }
          const until = Math.min(now + max, (key.goneAt.getTime() - start.getTime()) / 1000)
          signed.push({ key: key.id, kind, until })
        }
        for (const credential of signed.filter((credential) => credential.until > now)) {
          expect(publishedKeys(snapshot, credential.kind, at(now)).map((published) => published.id)).toContain(
            credential.key,
          )
        }
        const publishedIds = ['root-ca' as const, ...jwt].flatMap((kind) =>
          publishedKeys(snapshot, kind, at(now)).map((key) => key.id),
        )
        const next = bundleSequence(snapshot, at(now))
        expect(next).toBeGreaterThanOrEqual(sequence)
        expect(next !== sequence).toBe(publishedIds.sort().join() !== contents)
        sequence = next
        contents = publishedIds.sort().join()
        carryOut(rows, at(now))
        expect(actions(rows, at(now))).toEqual([])
      }
    }),
    { numRuns: 60 },
  )
})

test('a job that runs every second always leaves a key that was published for long enough', () => {
  const rows = firstKeys()
  for (let now = 0; now < 3000; now += 1) {
    carryOut(rows, at(now))
    const snapshot = { keys: new Map(rows.map((row) => [row.id, row])) }
    for (const kind of ['issuing-ca', ...jwt] as const) {
      const key = signingKey(snapshot, kind, at(now))!
      expect(key.retireAt > at(now)).toBe(true)
      if (key.createdAt > start) expect(key.activeAt.getTime() - key.createdAt.getTime()).toBe(lifetimes.publish * 1000)
    }
  }
  expect(rows.filter((row) => row.kind === 'jwt-es256')).toHaveLength(5)
})
