import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'
import { ageEntries } from '../support/age-entries.ts'

describe('log actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  it('search the log by pages, whose entry names filters and range', async () => {
    const { log } = purser.actions
    const context = purser.context()
    const query = { action: 'key.create', order: 'asc', limit: 1 } as const
    const first = await purser.issue('audit.search', context, (snapshot) => log.search(context, snapshot, query))
    expect(first.entry).toMatchObject({
      action: 'audit.search',
      detail: { filters: { action: 'key.create' }, found: 1 },
    })
    const second = await purser.issue('audit.search', context, (snapshot) =>
      log.search(context, snapshot, query, first.result.rest),
    )
    expect(second.result.items[0]?.index).toBeGreaterThan(first.result.items[0]?.index ?? Infinity)
  })

  it('prove one entry, and that the log only grew', async () => {
    const { log } = purser.actions
    const context = purser.context()
    const issued = await purser.issue('audit.read', context, (snapshot) =>
      log.readEntry(context, snapshot, { epoch: 1, index: 0 }),
    )
    expect(issued.result.row.index).toBe(0)
    expect(issued.entry).toMatchObject({ resource: { kind: 'entry', id: '1/0' } })
    await expect(log.readEntry(context, purser.snapshot(), { epoch: 9, index: 0 })).rejects.toMatchObject({
      code: 'not_found',
    })

    const growth = await purser.issue('audit.read', context, () => log.proveGrowth({ from: 1, to: 2 }))
    expect(growth.entry).toMatchObject({ detail: { growth: { epoch: 1, from: 1, to: 2 } } })
    await expect(log.proveGrowth({ from: 2, to: 1 })).rejects.toMatchObject({ code: 'impossible' })
    expect(await log.checkpoint(1)).toContain('example.org/log/1')
    expect(await log.tile(1, 'entries/000.p/1')).toHaveLength(34)
  })

  it('export the log before the entry of the export itself', async () => {
    const { log } = purser.actions
    const context = purser.context()
    const { result, entry } = await purser.issue('audit.export', context, (snapshot) => log.export(snapshot, {}))
    const lines: string[] = []
    for await (const line of result) lines.push(line)
    const { size } = purser.snapshot()
    expect(lines[0]).toContain('"purserExport":1')
    expect(entry).toMatchObject({ action: 'audit.export', detail: { sections: [{ epoch: 1, from: 0 }] } })
    expect(size).toBeGreaterThan(0)
  })

  it('redact entries and keep those that explain the present state', async () => {
    const { log } = purser.actions
    const context = purser.context()
    await ageEntries(purser.knex, 3650)
    const redact = (from: number, to: number) =>
      purser.change('log.redact', context, (tx) => log.redact(context, tx, { epoch: 1, from, to, rule: 'age' }))
    await expect(redact(3, 3)).rejects.toMatchObject({ code: 'impossible' })
    await expect(redact(0, 1)).rejects.toMatchObject({ code: 'conflict' })
    const { result: reads } = await purser.issue('audit.search', context, (snapshot) =>
      log.search(context, snapshot, { action: 'audit.read' }),
    )
    const { index = 0 } = reads.items[0] ?? {}
    const { result, entry } = await redact(index, index + 1)
    expect(result).toEqual({ redacted: 1 })
    expect(entry).toMatchObject({ action: 'log.redact', detail: { epoch: 1, from: index, to: index + 1, redacted: 1 } })
  })

  it('open the log after a review, for a reason', async () => {
    const { log } = purser.actions
    const context = purser.context({ reason: 'reviewed' })
    const open = (part = context) => purser.change('log.open', part, (tx, snapshot) => log.open(part, tx, snapshot))
    await expect(open(purser.context())).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(open()).rejects.toMatchObject({ code: 'conflict' })
    await purser.knex('log_head').update({ issuing: false })
    await purser.knex.raw(`select pg_notify('purser_revision', '')`)
    await expect.poll(() => purser.snapshot().issuing).toBe(false)
    const { entry } = await open()
    expect(entry).toMatchObject({ action: 'log.open', resource: { kind: 'epoch', id: '1' } })
    expect(purser.snapshot().issuing).toBe(true)
  })
})
