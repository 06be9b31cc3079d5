import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import * as fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import type { Database } from '../../src/store/database.ts'
import { indexAt, readEntries } from '../../src/store/entries.ts'
import { appendItems, newBatchId } from '../../src/store/log.ts'
import { type SearchResult, type Search, searchEntries } from '../../src/store/search.ts'
import { isIdKey, termKeys } from '../../src/store/term-keys.ts'
import { describeBothStores } from '../support/database.ts'

const size = 2_400
const start = Date.UTC(2026, 0, 1)
/** A common term, a less common one, a rare one, one of a range, and an id. */
const termsOf = (index: number): string[] => [
  'action=credentials.issue',
  `workload=web${index % 7}`,
  ...(index % 500 === 3 ? ['reason=no_workload'] : []),
  index < 1200 ? 'attestor=old' : 'attestor=new',
  `requestId=req_${index.toString(16).padStart(32, '0').split('').toReversed().join('')}`,
]

describeBothStores('entries', (open) => {
  let db: Database

  beforeAll(async () => {
    db = await open()
    await db.knex('log_head').insert({ instance_id: randomUUID(), trust_domain: 'x', issuer: 'y', epoch: 1 })
    for (let first = 0; first < size; first += 240) {
      const items = Array.from({ length: 240 }, (_, n) => ({
        leaf: randomBytes(32),
        nonce: randomBytes(32),
        body: JSON.stringify({ index: first + n }),
        at: new Date(start + (first + n) * 1000).toISOString(),
        terms: termKeys(termsOf(first + n)),
      }))
      await appendItems(db.knex, newBatchId(), 1, items)
    }
    if (db.kind === 'postgres') await db.knex.raw('analyze log_entry')
  })

  const whole: Search = { epoch: 1, from: 0, to: size, terms: [], order: 'desc', limit: 50 }
  /** Reads pages until they cover the range. */
  async function all(search: Search, patience?: number): Promise<{ indexes: number[]; pages: SearchResult[] }> {
    const pages: SearchResult[] = []
    for (let rest = search; rest.from < rest.to;) {
      const page = await searchEntries(db, rest, patience)
      pages.push(page)
      rest = search.order === 'asc' ? { ...rest, from: page.to } : { ...rest, to: page.from }
    }
    return { indexes: pages.flatMap(({ rows }) => rows.map((row) => row.index)), pages }
  }
  const naive = ({ from, to, terms, order }: Search): number[] => {
    const indexes = Array.from({ length: to - from }, (_, n) => from + n).filter((index) =>
      terms.every((term) => termsOf(index).includes(term)),
    )
    return order === 'asc' ? indexes : indexes.toReversed()
  }

  it('are found by all their terms, in order, each once, in every range', async () => {
    const word = fc.constantFrom(...termsOf(3), ...termsOf(1700), 'workload=web6', 'workload=none')
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(word, { maxLength: 3 }),
        fc.nat(size),
        fc.nat(size),
        fc.constantFrom('asc' as const, 'desc' as const),
        async (terms, a, b, order) => {
          const search: Search = { ...whole, terms, order, from: Math.min(a, b), to: Math.max(a, b), limit: 200 }
          expect((await all(search)).indexes).toEqual(naive(search))
        },
      ),
      { numRuns: 40 },
    )
  })

  /** Both terms are common but never occur together, so the search must scan the whole log. */
  const endless: Search = { ...whole, terms: ['attestor=old', 'attestor=new'] }

  it('that are too many for the time are found page by page, and each page states only its own range', async () => {
    const { indexes, pages } = await all(endless, db.kind === 'embedded' ? 0 : 1500)
    expect(indexes).toEqual([])
    if (db.kind === 'postgres') return expect(pages).toHaveLength(1)
    expect(pages.map(({ from, to }) => [from, to])).toEqual([
      [1900, 2400],
      [1400, 1900],
      [900, 1400],
      [400, 900],
      [0, 400],
    ])
  })

  it('are also found when Postgres had to stop in the middle', async () => {
    const search: Search = { ...whole, terms: ['workload=web1'], limit: 200 }
    // The embedded store never times out: it scans from the start.
    if (db.kind === 'embedded') return expect((await all(search, 0)).indexes).toEqual(naive(search))
    let result: Promise<SearchResult> | undefined
    await db.knex.transaction(async (tx) => {
      await tx.raw('lock table log_entry in access exclusive mode')
      result = searchEntries(db, search, 50)
      await pause(300)
    })
    expect((await result)?.rows.map((row) => row.index)).toEqual(naive(search).slice(0, 200))
  })

  it('are found by time at once, at any position', async () => {
    for (const index of [0, 1, 777, size - 1]) {
      const time = new Date(start + index * 1000)
      expect(await indexAt(db.knex, 1, size, time)).toBe(index)
      expect(await indexAt(db.knex, 1, size, new Date(time.getTime() - 1))).toBe(index)
    }
    expect(await indexAt(db.knex, 1, size, new Date(start + size * 1000))).toBe(size)
    expect(await indexAt(db.knex, 1, 0, new Date(start))).toBe(0)
  })

  it('are read by their positions, in order', async () => {
    const rows = await readEntries(db.knex, 1, 255, 258)
    expect(rows.map(({ index, body }) => [index, body])).toEqual([255, 256, 257].map((n) => [n, `{"index":${n}}`]))
    expect(await readEntries(db.knex, 1, 10, 10)).toEqual([])
    expect(await readEntries(db.knex, 2, 0, 10)).toEqual([])
  })
})

it('ids have keys that no fact can have, so that no caller can displace entries', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('selector', 'actor', 'workload', 'reason'),
      (text, kind) => {
        const [key = -1] = termKeys([`${kind}=${text}`])
        expect(Number.isSafeInteger(key) && key >= 0).toBe(true)
        expect(isIdKey(key)).toBe(false)
      },
    ),
  )
  for (const kind of ['requestId', 'session', 'serialNumber', 'sha256', 'jti', 'tokenId']) {
    const [key = 0] = termKeys([`${kind}=${randomBytes(16).toString('hex')}`])
    expect(isIdKey(key) && Number.isSafeInteger(key)).toBe(true)
  }
})
