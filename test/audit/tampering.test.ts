/** Changes of a database or an export by an attacker, on a real log: each one is detected, with its index. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ExportEntry,
  type ExportHashes,
  type ExportHeader,
  type Receipt,
  commitment,
  verifyExport,
  verifyReceipt,
} from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIssuer, type Issuer, registerLab } from '../support/issuer.ts'
import { generous, issueMany } from '../support/log-traffic.ts'
import { createPlace } from '../support/place.ts'
import type { TestPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

type Line = ExportHeader | ExportHashes | ExportEntry
type Row = { idx: string; leaf: Buffer; nonce: Buffer; body: string }

const isEntry = (line: Line): line is ExportEntry => 'entry' in line
const base64 = (bytes: Buffer) => bytes.toString('base64')

describe.each(frontDoorStores)('a tampered log (%s)', (store) => {
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser
  let issuer: Issuer
  let putBack: () => Promise<void>
  /** A receipt from the middle of the log, stored elsewhere. */
  let receipt: Receipt
  let lines: Line[]
  let last: number

  const exported = async (): Promise<Line[]> => {
    const { text } = await purser.asAdmin('GET', '/api/v1/audit/export?epoch=1')
    return text
      .trimEnd()
      .split('\n')
      .map((line): Line => JSON.parse(line))
  }
  const judge = async (exportLines: readonly Line[], checked: Receipt = receipt) => {
    const report = await verifyExport(
      exportLines.map((line) => JSON.stringify(line)),
      {
        vkeys: purser.vkeys,
        receipts: [checked],
      },
    )
    expect(report.ok).toBe(report.problemCount === 0)
    return report.problems.map(({ code, index, to }) => `${code} ${index}${to === undefined ? '' : `-${to}`}`)
  }

  beforeAll(async () => {
    place = await createPlace(store)
    issuer = await createIssuer()
    purser = await place.start('', generous)
    const { admin } = purser
    await registerLab(purser, issuer)
    await issueMany(purser, issuer, 270)
    await purser.stop()
    putBack = await place.keep()
    purser = await place.start(admin, generous)
    ;[receipt] = (await issueMany(purser, issuer, 1)) as [Receipt]
    await issueMany(purser, issuer, 60)
    lines = await exported()
    last = Number(lines.findLast(isEntry)?.index)
  })
  afterAll(async () => {
    await purser.stop()
    await place.remove()
  })

  it('is unchanged at first: the export verifies, and so does the stored receipt', async () => {
    expect(last).toBeGreaterThan(320)
    expect(receipt.index).toBeGreaterThan(256)
    expect(await judge(lines)).toEqual([])
  })

  describe('in the database, past its triggers', () => {
    const rowAt = async (idx: number): Promise<Row> => {
      const row: Row | undefined = await purser.knex('log_entry').where({ epoch: 1, idx }).first()
      if (!row) throw new Error(`no entry ${idx}`)
      return row
    }
    /** Runs a change that needs a superuser, and reverts it after the export. */
    async function exportedWith(
      indexes: number[],
      change: (row: Row, rows: Row[]) => Partial<{ [K in keyof Row]: Row[K] | null }> | 'deleted',
    ): Promise<string[]> {
      const rows = await Promise.all(indexes.map(rowAt))
      const write = (values: (row: Row) => Partial<{ [K in keyof Row]: Row[K] | null }> | 'deleted') =>
        purser.knex.transaction(async (tx) => {
          await tx.raw('set local session_replication_role = replica')
          for (const row of rows) {
            const next = values(row)
            const at = tx('log_entry').where({ epoch: 1, idx: row.idx })
            if (next === 'deleted') await at.delete()
            else if ((await at.clone().update(next)) === 0) await tx('log_entry').insert(next)
          }
        })
      await write((row) => change(row, rows))
      try {
        return await judge(await exported())
      } finally {
        await write((row) => row)
      }
    }

    it.each([
      ['one letter', (body: string) => body.replace('/lab/web', '/lab/wab')],
      ['the time', (body: string) => body.replace(/"time":"20/, '"time":"21')],
      ['the attestor', (body: string) => body.replace('"attestor":"lab"', '"attestor":"mob"')],
      ['a space that changes no value', (body: string) => body.replace(',"', ', "')],
    ])('an entry was edited: %s', async (_, edit) => {
      for (const index of [20, 260, last]) {
        expect(await exportedWith([index], ({ body }) => ({ body: edit(body) }))).toEqual([`entry_mismatch ${index}`])
      }
    })

    it('a nonce was replaced', async () => {
      expect(await exportedWith([30], () => ({ nonce: randomBytes(32) }))).toEqual(['entry_mismatch 30'])
    })

    it('an entry was rewritten with nonce and commitment: the tiles still hold its hash', async () => {
      const rewrite = ({ body }: Row) => {
        const next = { body: body.replace('/lab/web', '/lab/wab'), nonce: randomBytes(32) }
        return { ...next, leaf: commitment(next.nonce, next.body) }
      }
      expect(await exportedWith([31], rewrite)).toEqual(['entry_mismatch 31'])
    })

    it('two entries were swapped', async () => {
      const other = (row: Row, rows: Row[]) => rows.find((candidate) => candidate.idx !== row.idx) ?? row
      const swap = (row: Row, rows: Row[]) => {
        const { body, nonce, leaf } = other(row, rows)
        return { body, nonce, leaf }
      }
      expect(await exportedWith([40, 270], swap)).toEqual(['entry_mismatch 40', 'entry_mismatch 270'])
    })

    it.each([0, 128, 256])('entry %i was deleted', async (index) => {
      expect(await exportedWith([index], () => 'deleted')).toEqual([`missing_entry ${index}-${index + 1}`])
    })

    it('text and nonce were removed without a redaction entry', async () => {
      expect(await exportedWith([50, 51], () => ({ body: null, nonce: null }))).toEqual(['redaction_not_covered 50-52'])
    })
  })

  describe('in an export', () => {
    const edit = (index: number, change: (line: ExportEntry) => Line[]): Line[] =>
      lines.flatMap((line) => (isEntry(line) && line.index === index ? change(line) : [line]))

    it('an entry was edited', async () => {
      const changed = edit(100, (line) => [{ ...line, entry: line.entry.replace('"granted"', '"refused"') }])
      expect(await judge(changed)).toEqual(['entry_mismatch 100'])
    })

    it('the first, a middle, and the last one were deleted', async () => {
      for (const index of [0, 200, last]) {
        expect(await judge(edit(index, () => []))).toEqual([`missing_entry ${index}-${index + 1}`])
      }
    })

    it('two were swapped', async () => {
      const [a, b] = [60, 61].map((index) => lines.find((line) => isEntry(line) && line.index === index)) as [
        Line,
        Line,
      ]
      const places = lines.map((line) => (line === a ? b : line === b ? a : line))
      expect(await judge(places)).toEqual(['out_of_order 60'])
      const indexes = lines.map((line) =>
        line === a ? { ...b, index: 60 } : line === b ? { ...a, index: 61 } : line,
      ) as Line[]
      expect(await judge(indexes)).toEqual(['entry_mismatch 60-62'])
    })

    it('one was duplicated', async () => {
      expect(await judge(edit(70, (line) => [line, line]))).toEqual(['duplicate_entry 70'])
    })

    it('one was inserted', async () => {
      const inserted = edit(last, (line) => [line, { ...line, index: last + 1 }])
      expect(await judge(inserted)).toEqual([`unexpected_entry ${last + 1}`])
    })

    it('a nonce was replaced', async () => {
      const changed = edit(receipt.index, (line) => [{ ...line, nonce: base64(randomBytes(32)) }])
      expect(await judge(changed)).toEqual([`entry_mismatch ${receipt.index}`])
    })

    it('the checkpoint was forged', async () => {
      for (const forge of [
        (note: string) => note.replace(/\n(\d+)\n/, (_, size) => `\n${Number(size) + 1}\n`),
        (note: string) => note.replace(/\n[^\n]{44}\n/, `\n${base64(randomBytes(32))}\n`),
      ]) {
        const changed = lines.map((line) =>
          'checkpoint' in line ? { ...line, checkpoint: forge(line.checkpoint) } : line,
        )
        expect((await judge(changed))[0]).toBe('bad_signature undefined')
      }
    })

    it('the receipt itself was edited', async () => {
      const edited = { ...receipt, entry: receipt.entry.replace('"granted"', '"refused"') }
      expect(await judge(lines, edited)).toEqual([`bad_receipt ${receipt.index}`])
      expect(await judge(lines, { ...receipt, index: receipt.index + 1 })).toEqual([`bad_receipt ${receipt.index + 1}`])
    })
  })

  it('had its tail cut off, or continued differently after a restore: the stored receipt shows it', async () => {
    const { admin } = purser
    await purser.stop()
    await putBack()
    // No head outside the database is left, so the server continues to sign.
    await rm(join(place.dataDir, 'log-head'))
    purser = await place.start(admin, generous)
    const { size } = verifyReceipt(receipt, { vkeys: purser.vkeys }).checkpoint
    const cut = await exported()
    const end = Number(cut.findLast(isEntry)?.index) + 1
    expect(end).toBeLessThanOrEqual(receipt.index)
    expect(await judge(cut)).toEqual([`tail_cut ${end}-${size}`])

    await issueMany(purser, issuer, 40)
    const forked = await judge(await exported())
    expect(forked).toContain(`fork ${receipt.index}-${receipt.index + 1}`)
    // The common part of both histories is not reported.
    for (const problem of forked) expect(Number(/ (\d+)/.exec(problem)?.[1])).toBeGreaterThanOrEqual(256)
  })
})
