import {
  type Receipt,
  type SignedCheckpoint,
  commitment,
  openCheckpoint,
  verifyExport,
  verifyGrowth,
  verifyReceipt,
} from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Busy, startBusy } from '../support/log-traffic.ts'
import { frontDoorStores } from '../support/stores.ts'
import { validateReply } from '../support/replies.ts'

type Item = { epoch: number; index: number; entry: { action: string; outcome: string; actor: Record<string, string> } }
type List = {
  items: Item[]
  nextCursor: string | null
  range: { epoch: number; from: number; to: number }
  checkpoint: string
}

describe.each(frontDoorStores)("auditors' routes (%s)", (store) => {
  let busy: Busy
  let receipts: Receipt[]
  const searched = async (query: string): Promise<List> => {
    const { body } = await busy.purser.asAdmin('GET', `/api/v1/audit/entries?${query}`)
    return body as unknown as List
  }
  const refused = async (query: string): Promise<string> => {
    const answer = await busy.purser.call('GET', `/api/v1/audit/entries?${query}`, undefined, {
      token: busy.purser.admin,
    })
    return `${answer.status} ${answer.body.code}`
  }

  beforeAll(async () => {
    busy = await startBusy({ store })
    receipts = await busy.issue(70)
  })
  afterAll(() => busy.purser.stop())

  it('are only for auditors', async () => {
    for (const path of ['entries', 'entries/1/0', 'export', 'consistency?from=1']) {
      const answer = await busy.purser.call('GET', `/api/v1/audit/${path}`)
      expect([answer.status, answer.body.code]).toEqual([401, 'unauthenticated'])
    }
  })

  it.each([
    'limit=0',
    'limit=-1',
    'limit=201',
    'limit=1e9',
    'limit=10abc',
    'limit=1e2',
    'limit=1&limit=2',
    'fromIndex=-1',
    'since=yesterday',
    'order=random',
    'actor=a&actor=b',
    'password_hash=x',
    '__proto__=x',
    'terms[]=x',
    'cursor=x',
    'cursor=%5B1%2C0%2C9%5D.AAAA',
    'epoch=0',
  ])('refuse %s', async (query) => {
    expect(await refused(query)).toMatch(/^400 /)
  })

  it('refuse a cursor that was edited, or that belongs to other filters', async () => {
    const { nextCursor } = await searched('action=credentials.issue&limit=5')
    expect(await refused(`limit=5&cursor=${nextCursor}`)).toBe('400 bad_cursor')
    expect(await refused(`action=credentials.issue&order=asc&cursor=${nextCursor}`)).toBe('400 bad_cursor')
    const [text = '', mac] = String(nextCursor).split('.')
    const other = Buffer.from('[1,0,999999]').toString('base64url')
    expect(text).not.toBe(other)
    expect(await refused(`action=credentials.issue&cursor=${other}.${mac}`)).toBe('400 bad_cursor')
    expect((await searched(`action=credentials.issue&limit=50&cursor=${nextCursor}`)).items).toHaveLength(50)
  })

  it('treat wildcards of LIKE as literals', async () => {
    for (const value of ['%', '_', 'credentials%', '\\']) {
      const { items } = await searched(`actor=${encodeURIComponent(value)}`)
      expect(items).toEqual([])
    }
  })

  it('find an entry by each of its facts, and by all of them at once', async () => {
    const { index } = verifyReceipt(receipts[0], { vkeys: busy.purser.vkeys })
    const whole = await busy.purser.asAdmin('GET', `/api/v1/audit/entries/1/${index}`)
    const entry = JSON.parse(String(whole.body.entry))
    const facts: Record<string, string> = {
      actor: entry.actor.spiffeId,
      session: entry.actor.session,
      spiffeId: 'spiffe://example.org/lab/web',
      workload: 'web',
      attestor: 'lab',
      selector: 'oidc:sub=web',
      action: 'credentials.issue',
      outcome: 'granted',
      requestId: entry.requestId,
      sourceIp: entry.source.ip,
    }
    for (const [name, value] of Object.entries(facts)) {
      const { items } = await searched(`${name}=${encodeURIComponent(value)}&limit=200`)
      expect(items.map((item) => item.index)).toContain(index)
    }
    const all = new URLSearchParams(facts)
    expect((await searched(String(all))).items).toEqual([{ epoch: 1, index, entry }])
    all.set('outcome', 'refused')
    expect((await searched(String(all))).items).toEqual([])
  })

  it.each(['asc', 'desc'])('return every entry once, page by page, %s', async (order) => {
    const indexes: number[] = []
    let cursor: string | null = ''
    let covered = 0
    while (cursor !== null) {
      const page: List = await searched(
        `action=credentials.issue&order=${order}&limit=17${cursor && `&cursor=${cursor}`}`,
      )
      indexes.push(...page.items.map((item) => item.index))
      covered += page.range.to - page.range.from
      expect(openCheckpoint(page.checkpoint, busy.purser.vkeys).size).toBeGreaterThanOrEqual(page.range.to)
      cursor = page.nextCursor
    }
    expect(indexes).toHaveLength(70)
    expect(new Set(indexes).size).toBe(70)
    expect(indexes).toEqual(indexes.toSorted((a, b) => (order === 'asc' ? a - b : b - a)))
    expect(covered).toBeGreaterThan(Math.max(...indexes))
  })

  it('return the entries of a time range', async () => {
    expect((await searched('until=2020-01-01T00:00:00Z')).items).toEqual([])
    expect((await searched('since=2099-01-01T00:00:00Z')).items).toEqual([])
    const { items } = await searched(
      'since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z&order=asc&fromIndex=3&limit=2',
    )
    expect(items.map((item) => item.index)).toEqual([3, 4])
  })

  it('prove an entry, and report any other as unknown', async () => {
    for (const path of ['1/999999', '2/0', '1/x', '1/-1', '0/0']) {
      const answer = await busy.purser.call('GET', `/api/v1/audit/entries/${path}`, undefined, {
        token: busy.purser.admin,
      })
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
    }
    const { body } = await busy.purser.asAdmin('GET', '/api/v1/audit/entries/1/4')
    expect(verifyReceipt(body, { vkeys: busy.purser.vkeys }).index).toBe(4)
    const nonce = Buffer.from(String(body.nonce), 'base64')
    expect(commitment(nonce, String(body.entry)).toString('base64')).toBe(body.commitment)
  })

  it('prove consistency between two sizes', async () => {
    for (const query of ['from=0', 'from=5&to=4', 'from=1&to=999999', 'from=1&epoch=7']) {
      const answer = await busy.purser.call('GET', `/api/v1/audit/consistency?${query}`, undefined, {
        token: busy.purser.admin,
      })
      expect(answer.status).toBe(422)
    }
    const heads: SignedCheckpoint[] = receipts.map(
      (receipt) => verifyReceipt(receipt, { vkeys: busy.purser.vkeys }).checkpoint,
    )
    const [first] = heads.toSorted((a, b) => a.size - b.size)
    if (!first) throw new Error('no receipt')
    const { body } = await busy.purser.asAdmin('GET', `/api/v1/audit/consistency?from=${first.size}`)
    const newest = openCheckpoint(body.checkpoint, busy.purser.vkeys)
    expect(newest.size).toBe(body.to)
    verifyGrowth(first, newest, body.consistency as string[])
  })

  it('export a log that verifies offline, without later entries', async () => {
    const answer = await busy.purser.asAdmin('GET', '/api/v1/audit/export')
    const [epoch, index] = String(answer.headers.get('purser-log-index')).split('/').map(Number)
    const report = await verifyExport(answer.text.split('\n'), { vkeys: busy.purser.vkeys, receipts })
    expect(report.problems).toEqual([])
    expect(report.entries).toBeGreaterThan(70)
    expect(report.entries).toBeLessThanOrEqual(Number(index))
    const own = await busy.purser.asAdmin('GET', `/api/v1/audit/entries/${epoch}/${index}`)
    expect(JSON.parse(String(own.body.entry))).toMatchObject({
      action: 'audit.export',
      detail: { sections: [{ epoch: 1, from: 0, to: report.entries }] },
    })
  })

  it('export a part that states its range', async () => {
    const answer = await busy.purser.asAdmin('GET', '/api/v1/audit/export?from=10&to=20')
    const report = await verifyExport(answer.text.split('\n'), { vkeys: busy.purser.vkeys, receipts })
    expect(report.problems).toEqual([])
    expect(report.sections).toMatchObject([{ epoch: 1, from: 10, to: 20, entries: 10 }])
    expect(report.notExcluded.join()).toContain('entries 0 to 9, which are not in the export')
  })

  it('conform to openapi.yaml', async () => {
    for (const [id, path] of [
      ['searchEntries', 'entries?limit=200'],
      ['getEntry', 'entries/1/1'],
      ['getConsistency', 'consistency?from=1'],
    ] as const) {
      const { body, status } = await busy.purser.asAdmin('GET', `/api/v1/audit/${path}`)
      expect(validateReply(id, status, body)).toEqual([])
    }
    const keys = await busy.purser.call('GET', '/log/keys')
    expect(validateReply('getLogKeys', 200, keys.body)).toEqual([])
  })

  it('are recorded with their filters', async () => {
    await searched('workload=web&limit=1')
    const { items } = await searched('action=audit.search&limit=1')
    expect(items[0]?.entry).toMatchObject({
      outcome: 'granted',
      actor: { kind: 'operator', operator: 'admin' },
      detail: { filters: { workload: 'web' }, found: 1 },
    })
  })
})

describe('a running export', () => {
  it('is cut off when its caller loses the right to it, and the client notices', async () => {
    let ahead = 0
    const own = await startBusy({ now: () => new Date(Date.now() + ahead) })
    const { purser } = own
    await own.issue(300)
    let blocks = 0
    purser.knex.on('query', ({ sql }: { sql: string }) => {
      if (!sql.startsWith('select "idx", "leaf", "nonce", "body" from "log_entry"')) return
      blocks += 1
      // The token's thirty days are over before the second block is sent.
      if (blocks === 2) ahead = 40 * 24 * 3600_000
    })
    const token = purser.admin
    await expect(purser.call('GET', '/api/v1/audit/export', undefined, { token })).rejects.toThrow('terminated')
    expect(blocks).toBe(2)
    await purser.stop()
  })
})
