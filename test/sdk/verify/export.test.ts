import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createNoteSigner,
  entryLeaf,
  leafHash,
  rootOf,
  signCheckpoint,
  verifyExport,
  type ExportEntry,
  type ExportHashes,
  type ExportHeader,
  type ExportOptions,
  type Problem,
} from '@purser/sdk/verify'
import { makeLog, type Line, type SmallLog } from './small-log.ts'

const text = (lines: readonly Line[]) => lines.map((line) => JSON.stringify(line))
const verify = (lines: readonly Line[], options: ExportOptions) => verifyExport(text(lines), options)
/** A problem as `code index` or `code [index, to)`. */
const brief = ({ code, index, to }: Problem) =>
  index === undefined ? code : to === undefined || to === index + 1 ? `${code} ${index}` : `${code} [${index}, ${to})`

const isEntry = (line: Line, index: number): line is ExportEntry => 'index' in line && line.index === index
const placeOf = (lines: readonly Line[], index: number) => lines.findIndex((line) => isEntry(line, index))
const edit = (lines: readonly Line[], index: number, change: (entry: ExportEntry) => Line | undefined) =>
  lines.flatMap((line) => (isEntry(line, index) ? (change(line) ?? []) : line))
const editHeader = (lines: readonly Line[], change: Partial<ExportHeader>) =>
  lines.map((line) => ('purserExport' in line ? { ...line, ...change } : line))
const swap = (lines: readonly Line[], a: number, b: number) => {
  const [first, second] = [lines[placeOf(lines, a)], lines[placeOf(lines, b)]]
  if (!first || !second) throw new Error('no such lines')
  return lines.with(placeOf(lines, a), second).with(placeOf(lines, b), first)
}
const rename = (line: ExportEntry) => ({ ...line, entry: line.entry.replace('req_1_', 'req_9_') })

/** Changes an entry and every hash that depends on it in the export, except the signed ones. */
function editDeeply(lines: readonly Line[], index: number, { root = true } = {}): Line[] {
  const changed = edit(lines, index, rename)
  const line = changed[placeOf(changed, index)]
  return changed.map((item) => {
    if (!('hashes' in item) || !line || !('entry' in line)) return item
    const bytes = Buffer.from(item.hashes, 'base64')
    const offset = (index - item.first) * 32
    if (offset < 0 || offset >= bytes.length) return item
    entryLeaf(line.nonce, line.entry).copy(bytes, offset)
    const leaves = Array.from({ length: bytes.length / 32 }, (_, i) => bytes.subarray(i * 32, i * 32 + 32))
    return {
      ...item,
      hashes: bytes.toString('base64'),
      ...(item.root && root && { root: rootOf(leaves).toString('base64') }),
    }
  })
}

const log = makeLog({ size: 600 })
const { vkeys } = log
const whole = log.lines()
const checks = { vkeys, receipts: [log.receipt(300, 500)] }

describe('an unchanged export', () => {
  it('verifies, and states what it proves and what it cannot', async () => {
    const report = await verify(whole, checks)
    expect(report).toMatchObject({ ok: true, problems: [], problemCount: 0, entries: 600, redacted: 0 })
    expect(report.proved).toEqual([
      'epoch 1: the checkpoint over 600 entries is signed by prod.example/log/1',
      'epoch 1: entries 0 to 599 are all here, unchanged and in their places',
      'epoch 1: the log only grew since the receipt of entry 300 was made (500 entries)',
    ])
    expect(report.notExcluded.join('\n')).toContain('appended after the first 600')
    expect(report.notExcluded.join('\n')).not.toContain('no checkpoint or receipt kept elsewhere')
  })

  it('does not exclude a rewritten log when nothing was stored elsewhere', async () => {
    const report = await verify(whole, { vkeys })
    expect(report.ok).toBe(true)
    expect(report.notExcluded.join('\n')).toContain('no checkpoint or receipt kept elsewhere was given')
  })

  it('verifies at every size, in every range, with receipts of every entry and checkpoints of every size', async () => {
    let count = 0
    for (const size of [1, 2, 3, 7, 8, 13]) {
      const small = makeLog({ size })
      const receipts = small.entries.map(({ index }) => small.receipt(index, Math.min(size, index + 1 + (index % 3))))
      const checkpoints = receipts.map((_, i) => small.checkpoint(i + 1))
      for (let from = 0; from <= size; from++) {
        for (let to = from; to <= size; to++) {
          const report = await verify(small.lines(from, to), { vkeys: small.vkeys, receipts, checkpoints })
          expect(report.problems).toEqual([])
          expect(report.entries).toBe(to - from)
          count += 1
        }
      }
    }
    expect(count).toBeGreaterThan(200)
  })

  it.each([
    [0, 256],
    [255, 257],
    [256, 512],
    [300, 301],
    [1, 599],
    [599, 600],
    [600, 600],
  ])('verifies as entries [%i, %i) of 600', async (from, to) => {
    const report = await verify(log.lines(from, to), checks)
    expect(report.problems).toEqual([])
    expect(report.notExcluded.some((reason) => reason.includes('not in the export'))).toBe(true)
  })

  it('of the empty log verifies', async () => {
    const empty = makeLog({ size: 0 })
    expect(await verify(empty.lines(), { vkeys: empty.vkeys })).toMatchObject({ ok: true, entries: 0 })
  })
})

/** The tamperings that must be found, each with its finding. The log has 600 entries, and one receipt was stored. */
const tampered: [string, Line[], string[]][] = [
  ['one letter of an entry is changed', edit(whole, 300, rename), ['entry_mismatch 300']],
  ['the first entry is changed', edit(whole, 0, rename), ['entry_mismatch 0']],
  ['the last entry is changed', edit(whole, 599, rename), ['entry_mismatch 599']],
  [
    'three entries are changed',
    [5, 6, 400].reduce<Line[]>((lines, i) => edit(lines, i, rename), whole),
    ['entry_mismatch [5, 7)', 'entry_mismatch 400'],
  ],
  [
    'an entry is written otherwise',
    edit(whole, 9, (line) => ({ ...line, entry: ` ${line.entry}` })),
    ['entry_mismatch 9'],
  ],
  [
    'a nonce is replaced',
    edit(whole, 301, (line) => ({ ...line, nonce: randomBytes(32).toString('base64') })),
    ['entry_mismatch 301'],
  ],
  ['a nonce is cut', edit(whole, 301, (line) => ({ ...line, nonce: line.nonce.slice(4) })), ['entry_mismatch 301']],
  ['the first entry is deleted', edit(whole, 0, () => undefined), ['missing_entry 0']],
  ['an entry in the middle is deleted', edit(whole, 256, () => undefined), ['missing_entry 256']],
  ['the last entry is deleted', edit(whole, 599, () => undefined), ['missing_entry 599']],
  ['two neighbours are swapped', swap(whole, 41, 42), ['out_of_order 41']],
  ['two entries far apart are swapped', swap(whole, 41, 555), ['out_of_order 41', 'out_of_order 555']],
  [
    'two entries have exchanged their indexes',
    swap(
      edit(
        edit(whole, 41, (line) => ({ ...line, index: 9000 })),
        42,
        (line) => ({ ...line, index: 41 }),
      ).map((line) => (isEntry(line, 9000) ? { ...line, index: 42 } : line)),
      41,
      42,
    ),
    ['entry_mismatch [41, 43)'],
  ],
  ['an entry is there twice', whole.toSpliced(placeOf(whole, 77), 0, log.entryAt(77)), ['duplicate_entry 77']],
  ['an entry is there again at the end', [...whole, log.entryAt(3)], ['duplicate_entry 3']],
  [
    'an entry is inserted under a used index',
    whole.toSpliced(placeOf(whole, 78), 0, rename(log.entryAt(77))),
    ['duplicate_entry 77'],
  ],
  [
    'an entry is inserted, and those after it renumbered',
    whole
      .toSpliced(placeOf(whole, 590), 0, rename(log.entryAt(589)))
      .map((line, place) =>
        'index' in line && place >= placeOf(whole, 590) ? { ...line, index: line.index + 1 } : line,
      ),
    ['entry_mismatch [590, 600)', 'unexpected_entry 600'],
  ],
  [
    'an entry is deleted, and those after it renumbered',
    edit(whole, 590, () => undefined).map((line) =>
      'index' in line && line.index > 590 ? { ...line, index: line.index - 1 } : line,
    ),
    ['entry_mismatch [590, 599)', 'missing_entry 599'],
  ],
  ['an entry is appended', [...whole, { ...rename(log.entryAt(599)), index: 600 }], ['unexpected_entry 600']],
  [
    'an entry claims another epoch',
    edit(whole, 9, (line) => ({ ...line, epoch: 2 })),
    ['unexpected_entry 9', 'missing_entry 9'],
  ],
  ['the file ends early', whole.slice(0, placeOf(whole, 580)), ['missing_entry [580, 600)']],
  [
    'the file ends before the last block',
    whole.slice(0, placeOf(whole, 512) - 1),
    ['hashes_missing [512, 600)', 'missing_entry [512, 600)'],
  ],
  [
    'a line of hashes is deleted',
    whole.filter((line) => !('hashes' in line && line.first === 256)),
    ['hashes_missing [256, 512)'],
  ],
  [
    'a line of hashes is there twice',
    whole.flatMap((line) => ('hashes' in line && line.first === 256 ? [line, line] : line)),
    ['bad_line 256'],
  ],
  ['an entry and its hash are changed', editDeeply(whole, 300, { root: false }), ['block_mismatch [256, 512)']],
  [
    'the root of a block is changed',
    whole.map((line) =>
      'hashes' in line && line.first === 0 ? { ...line, root: rootOf(log.leaves).toString('base64') } : line,
    ),
    ['block_mismatch [0, 256)'],
  ],
  ['an entry and every hash over it are changed', editDeeply(whole, 300), ['root_mismatch 300']],
  ['a neighbour of the stored entry is changed with every hash', editDeeply(whole, 301), ['root_mismatch 301']],
  ['an entry further off is changed with every hash', editDeeply(whole, 307), ['root_mismatch [304, 320)']],
  ['an entry after the stored head is changed with every hash', editDeeply(whole, 550), ['root_mismatch [0, 600)']],
  [
    'an entry loses its text',
    edit(whole, 99, ({ epoch, index }) => ({ epoch, index, redacted: true })),
    ['redaction_not_covered 99'],
  ],
  [
    'the section states a later start',
    editHeader(whole, { from: 1 }),
    ['bad_header', 'bad_line 0', 'unexpected_entry 0', 'hashes_missing [1, 256)'],
  ],
  ['the section states fewer entries', editHeader(whole, { to: 599 }), ['bad_header']],
  ['the section has more entries than the checkpoint', editHeader(whole, { to: 601 }), ['bad_header']],
  [
    'the hashes beside the section are changed',
    editHeader(log.lines(256, 512), { left: [rootOf(log.leaves).toString('base64')] }),
    ['root_mismatch [0, 256)'],
  ],
  ['the section claims another epoch', editHeader(whole, { epoch: 2 }), ['bad_signature', 'unexpected_entry [0, 600)']],
  ['the section claims another log', editHeader(whole, { origin: 'test.example/log/1' }), ['bad_signature']],
]

describe('tampering is found and named when', () => {
  it.each(tampered)('%s', async (_, lines, expected) => {
    const report = await verify(lines, checks)
    expect(report.ok).toBe(false)
    expect(report.problems.map(brief)).toEqual(expect.arrayContaining(expected))
    expect(report.proved.join('\n')).not.toContain('all here')
  })

  it('and unchanged entries are not named', async () => {
    const exact = tampered.filter(([, , expected]) =>
      expected.every((problem) => /^(entry_mismatch|missing_entry|duplicate_entry|out_of_order)/.test(problem)),
    )
    expect(exact.length).toBeGreaterThan(15)
    for (const [, lines, expected] of exact) {
      const report = await verify(lines, checks)
      expect(report.problems.map(brief).sort()).toEqual(expected.toSorted())
    }
  })

  it('the tail was cut back to an older head, which is signed too', async () => {
    const older = makeLog({ size: 450, signer: log.key, original: log })
    const report = await verify(older.lines(), checks)
    expect(report.problems.map(brief)).toEqual(['tail_cut [450, 500)'])
    const withCheckpoint = await verify(older.lines(), { vkeys, checkpoints: [log.checkpoint(451)] })
    expect(withCheckpoint.problems.map(brief)).toEqual(['tail_cut 450'])
  })

  it('the history was forked: another one is signed with the same key', async () => {
    const special = { 302: { action: 'workload.create', v: 1 } }
    const fork = makeLog({ size: 620, signer: log.key, original: log, special })
    const report = await verify(fork.lines(), checks)
    // Above entry 300 its proof has the hashes of 301, then of 302 to 303, and so on.
    expect(report.problems.map(brief)).toEqual(['fork [302, 304)'])
    const byHead = await verify(fork.lines(), { vkeys, checkpoints: [log.checkpoint(303)] })
    expect(byHead.problems.map(brief)).toEqual(['fork [0, 303)'])
    // A head from before the fork cannot detect it.
    expect((await verify(fork.lines(), { vkeys, checkpoints: [log.checkpoint(302)] })).ok).toBe(true)
  })

  it('the checkpoint is forged', async () => {
    const other = createNoteSigner(log.origin, generateKeyPairSync('ed25519').privateKey)
    const forged = signCheckpoint(log.origin, 600, log.rootAt(600), [other])
    const edited = log.checkpoint(600).replace('\n600\n', '\n601\n')
    for (const checkpoint of [forged, edited, '', 'x\n\n— x AAAA\n', log.checkpoint(600).slice(0, -9)]) {
      const report = await verify(editHeader(whole, { checkpoint }), checks)
      expect(report.problems[0]).toMatchObject({ code: 'bad_signature', epoch: 1 })
      expect(report.proved.join('\n')).not.toMatch(/signed by|all here/)
    }
  })

  it('the stored receipt or checkpoint was edited', async () => {
    const receipt = log.receipt(300, 500)
    for (const bad of [
      { ...receipt, index: 301 },
      { ...receipt, entry: receipt.entry.replace('req_1_', 'req_9_') },
      { ...receipt, nonce: log.entryAt(1).nonce },
      { ...receipt, proof: receipt.proof.replace('\n500\n', '\n501\n') },
    ]) {
      const report = await verify(whole, { vkeys, receipts: [bad] })
      expect(report.problems).toMatchObject([{ code: 'bad_receipt', epoch: 1, index: bad.index }])
    }
    const checkpoints = [log.checkpoint(5).replace('\n5\n', '\n6\n')]
    expect((await verify(whole, { vkeys, checkpoints })).problems.map(brief)).toEqual(['bad_checkpoint'])
    expect((await verify(whole, { vkeys, receipts: [null, 'x', {}] })).problemCount).toBe(3)
  })

  it('any one character of an entry, a nonce or a hash is changed', async () => {
    const small = makeLog({ size: 20 })
    const lines = text(small.lines())
    const options = { vkeys: small.vkeys }
    await fc.assert(
      fc.asyncProperty(
        fc.nat(lines.length - 2),
        fc.nat(),
        fc.constantFrom('A', '0', '"', '\\', 'é'),
        async (i, at, letter) => {
          const line = lines[i + 1] ?? ''
          const place = at % line.length
          const bad = line.slice(0, place) + letter + line.slice(place + 1)
          const report = await verifyExport(lines.with(i + 1, bad), options)
          expect(report.ok).toBe(bad === line)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('when entry and hashes of a small log were changed alike', () => {
  const small = makeLog({ size: 100 })
  const lines = editDeeply(small.lines(), 70)
  it('the signed root alone detects it, and the stored receipts narrow it down', async () => {
    const places = async (...indexes: number[]) => {
      const receipts = indexes.map((index) => small.receipt(index, 100))
      return (await verify(lines, { vkeys: small.vkeys, receipts })).problems.map(brief)
    }
    expect(await places()).toEqual(['root_mismatch [0, 100)'])
    expect(await places(3)).toEqual(['root_mismatch [64, 100)'])
    expect(await places(3, 90)).toEqual(['root_mismatch [64, 80)'])
    expect(await places(3, 90, 64)).toEqual(['root_mismatch [68, 72)'])
    expect(await places(3, 90, 70)).toEqual(['root_mismatch 70'])
  })
})

describe('redaction', () => {
  const detail = { epoch: 1, rule: 'ninety-days', runs: [[10, 300]] }
  const redaction = { action: 'log.redact', detail, outcome: 'granted', v: 1 }
  const redactionWith = (more: object) => ({ ...redaction, detail: { ...detail, ...more } })
  const indexes = Array.from({ length: 290 }, (_, i) => i + 10)
  const problemsOf = async (special: Record<number, Record<string, unknown>>, redacted = indexes, to = 400) => {
    const some = makeLog({ size: 400, special })
    const lines = some.lines(0, to, redacted)
    const outside = Object.keys(special)
      .map(Number)
      .filter((index) => index >= to)
    const report = await verify([...lines, ...outside.map((index) => some.outside(index))], { vkeys: some.vkeys })
    return report.problems.map(brief)
  }

  it('is valid when an entry covers it, inside the range or proved from outside', async () => {
    expect(await problemsOf({ 350: redaction })).toEqual([])
    expect(await problemsOf({ 350: redaction }, indexes, 320)).toEqual([])
    const upper = redactionWith({ runs: [[200, 300]] })
    const lower = redactionWith({
      runs: [
        [100, 200],
        [5, 100],
      ],
    })
    expect(await problemsOf({ 350: upper, 360: lower })).toEqual([])
  })

  it.each([
    ['no entry', {}, 'redaction_not_covered [10, 300)'],
    ['a refused one', { 350: { ...redaction, outcome: 'refused' } }, 'redaction_not_covered [10, 300)'],
    ['one of another epoch', { 350: redactionWith({ epoch: 2 }) }, 'redaction_not_covered [10, 300)'],
    ['one without runs', { 350: { ...redaction, detail: {} } }, 'redaction_not_covered [10, 300)'],
    ['one for fewer', { 350: redactionWith({ runs: [[10, 290]] }) }, 'redaction_not_covered [290, 300)'],
    ['one for a part', { 350: redactionWith({ runs: [[20, 290]] }) }, 'redaction_not_covered [10, 20)'],
    ['one with a gap', { 350: redactionWith({ runs: [[10, 99], [100, 300]] }) }, 'redaction_not_covered 99'], // prettier-ignore
    ['one whose range alone', { 350: redactionWith({ from: 10, to: 300, redacted: 290, runs: [[10, 99], [100, 300]] }) }, 'redaction_not_covered 99'], // prettier-ignore
    ['one with invalid runs', { 350: redactionWith({ runs: [['10', 300]] }) }, 'redaction_not_covered [10, 300)'],
    ['one that came before', { 5: redaction }, 'redaction_not_covered [10, 300)'],
  ])('is tampering when %s covers it', async (_, special, expected) => {
    expect(await problemsOf(special)).toContain(expected)
  })

  it('cannot remove the first entry of an epoch', async () => {
    expect(await problemsOf({ 350: redactionWith({ runs: [[0, 300]] }) }, [0, 1])).toEqual(['redaction_not_covered 0'])
  })

  describe('by a range and a count, in the older form', () => {
    const range = (from: number, to: number, redacted: unknown) => ({
      ...redaction,
      detail: { epoch: 1, from, to, redacted, rule: 'ninety-days' },
    })

    it('covers as many entries as it states', async () => {
      expect(await problemsOf({ 350: range(10, 300, 290) })).toEqual([])
      expect(await problemsOf({ 350: range(0, 340, 3) }, [20, 31, 32])).toEqual([])
      expect(await problemsOf({ 350: range(0, 340, 3) }, [20, 31, 32], 32)).toEqual([])
      expect(await problemsOf({ 350: range(10, 200, 2), 351: range(10, 40, 2) }, [20, 31, 32, 150])).toEqual([])
      expect(
        await problemsOf({ 350: range(0, 340, 2), 351: redactionWith({ runs: [[31, 33]] }) }, [20, 31, 32, 99]),
      ).toEqual([])
    })

    it('covers not one more', async () => {
      expect(await problemsOf({ 350: range(10, 340, 2) }, [20, 31, 32])).toEqual(['redaction_not_covered [10, 340)'])
      expect(await problemsOf({ 350: range(10, 340, 2) }, [9, 20, 31])).toEqual(['redaction_not_covered 9'])
      const nested = { 350: range(10, 340, 1), 351: range(10, 40, 1) }
      expect(await problemsOf(nested, [20, 31, 32])).toEqual(['redaction_not_covered [10, 340)'])
      expect(await problemsOf({ 350: range(10, 340, undefined) }, [20])).toEqual(['redaction_not_covered 20'])
    })

    it('still verifies an export of an older server, and shows what was removed since', async () => {
      const stored = (name: string) => readFileSync(new URL(`exports/${name}`, import.meta.url), 'utf8').trimEnd()
      const lines = stored('redacted-range.jsonl').split('\n')
      const options = { vkeys: [stored('redacted-range.vkey')] }
      expect(await verifyExport(lines, options)).toMatchObject({ ok: true, entries: 15, redacted: 3 })
      const emptied = lines.map((line) =>
        line.includes('workload.disable') ? '{"epoch":1,"index":14,"redacted":true}' : line,
      )
      expect((await verifyExport(emptied, options)).problems.map(brief)).toEqual(['redaction_not_covered [12, 17)'])
    })
  })

  it('is not covered by an entry that is not in the log', async () => {
    const some = makeLog({ size: 400, special: { 350: redaction } })
    const forged = { ...some.outside(350), index: 351 }
    const report = await verify([...some.lines(0, 320, indexes), forged], { vkeys: some.vkeys })
    expect(report.problems.map(brief)).toEqual(['redaction_not_covered [10, 300)', 'entry_mismatch 351'])
    // Nor by one that is the second line of an index.
    const twice = some.lines(0, 320, indexes)
    twice.splice(placeOf(twice, 310) + 1, 0, { ...some.entryAt(350), index: 310 })
    const secondReport = await verify(twice, { vkeys: some.vkeys })
    expect(secondReport.problems.map(brief)).toEqual(['redaction_not_covered [10, 300)', 'duplicate_entry 310'])
  })
})

describe('several epochs', () => {
  const head = (some: SmallLog, size: number) => ({ size, root: some.rootAt(size).toString('base64') })
  const object = makeLog({ size: 40 })
  const start = (previous: unknown) => ({ 0: { action: 'log.epoch', detail: { previous }, outcome: 'granted', v: 1 } })
  const second = (previous: unknown) => makeLog({ size: 30, epoch: 2, special: start(previous) })
  const check = async (two: SmallLog, first: Line[] = object.lines(), options: Partial<ExportOptions> = {}) =>
    verify([...first, ...two.lines()], { vkeys: [...object.vkeys, ...two.vkeys], ...options })

  it('verify in sequence, and the later one states what was lost', async () => {
    const two = second({ epoch: 1, database: head(object, 40), known: { size: 45, root: head(object, 40).root } })
    const report = await check(two, object.lines(), { receipts: [object.receipt(5, 9), two.receipt(6, 7)] })
    expect(report).toMatchObject({ ok: true, entries: 70 })
    expect(report.notExcluded.join('\n')).toContain('entries 40 to 44 of epoch 1')
  })

  it('are compared with each other', async () => {
    const codes = async (previous: unknown, first?: Line[]) =>
      (await check(second(previous), first)).problems.map(brief)
    const database = head(object, 40)
    expect(await codes({ epoch: 1, database })).toEqual([])
    expect(await codes({ epoch: 1, database: { ...database, size: 50 } })).toEqual(['tail_cut [40, 50)'])
    expect(await codes({ epoch: 1, database: head(object, 39) })).toEqual(['bad_epoch_start 0'])
    expect(await codes({ epoch: 1, database: { size: 40, root: head(object, 39).root } })).toEqual([
      'bad_epoch_start 0',
    ])
    expect(await codes({ epoch: 2, database })).toEqual(['bad_epoch_start 0'])
    expect(await codes({ epoch: 1 })).toEqual(['bad_epoch_start 0'])
    expect(await codes({ epoch: 1, database: { size: 40, root: '!' } })).toEqual(['bad_epoch_start 0'])
    expect(await codes(undefined)).toEqual(['bad_epoch_start 0'])
    expect(await codes({ epoch: 1, database }, [])).toEqual([])
  })

  it('come in order, each with its own key', async () => {
    const two = second({ epoch: 1, database: head(object, 40) })
    const vkeyOfBoth = [...object.vkeys, ...two.vkeys]
    const reversed = await verify([...two.lines(), ...object.lines()], { vkeys: vkeyOfBoth })
    expect(reversed.problems.map(brief)).toContain('bad_header')
    const unknown = await verify([...object.lines(), ...two.lines()], { vkeys: object.vkeys })
    expect(unknown.problems).toMatchObject([{ code: 'bad_signature', epoch: 2 }])
    const stolen = makeLog({
      size: 30,
      epoch: 2,
      special: start({ epoch: 1, database: head(object, 40) }),
      signer: object.key,
    })
    expect((await check(stolen)).problems.map(brief)).toEqual(['bad_signature'])
  })

  it('leave open what a receipt of an epoch without a section proves', async () => {
    const two = second({ epoch: 1, database: head(object, 40) })
    const report = await check(two, [], { receipts: [object.receipt(5, 9)] })
    expect(report.ok).toBe(true)
    expect(report.notExcluded.join('\n')).toContain('receipt of entry 5 of prod.example/log/1')
  })
})

describe('garbage', () => {
  const header: ExportHeader = {
    purserExport: 1,
    origin: log.origin,
    epoch: 1,
    from: 0,
    to: 0,
    checkpoint: '',
    left: [],
    right: [],
    vkeys: [],
  }
  it.each([
    ['no line', [], 'bad_header'],
    ['no JSON', ['x'], 'bad_line'],
    ['no header', text(whole).slice(1, 3), 'bad_line'],
    ['an unknown version', [JSON.stringify({ ...header, purserExport: 2 })], 'bad_line'],
    ['a negative index', [JSON.stringify({ epoch: 1, index: -1 })], 'bad_line'],
    ['a header with endless ranges', [JSON.stringify({ ...header, from: 1, to: 2 ** 53 - 1 })], 'bad_header'],
    ['a header from the end to the start', [JSON.stringify({ ...header, from: 9, to: 3 })], 'bad_header'],
    ['a long line', [`{"a":"${'x'.repeat(2 ** 20)}"}`], 'bad_line'],
    ['a million brackets', ['['.repeat(1_000_000)], 'bad_line'],
  ])('is a problem, not an exception: %s', async (_, lines, code) => {
    const report = await verifyExport(lines, { vkeys })
    expect(report.ok).toBe(false)
    expect(report.problems.map((problem) => problem.code)).toContain(code)
  })

  it('of every kind is handled', async () => {
    const numbers = fc.oneof(fc.nat(8), fc.constantFrom(256, 512, 600, 2 ** 53 - 1, -1, 0.5))
    const hashes = fc.array(fc.constantFrom(...log.leaves.slice(0, 4).map((leave) => leave.toString('base64')), '!'), {
      maxLength: 4,
    })
    const line = fc.oneof(
      fc.record({
        purserExport: fc.constant(1),
        origin: fc.constant(log.origin),
        epoch: numbers,
        from: numbers,
        to: numbers,
        checkpoint: fc.constantFrom(log.checkpoint(600), log.checkpoint(3), ''),
        left: hashes,
        right: hashes,
      }),
      fc.record({
        hashes: hashes.map((some) => Buffer.concat(some.map((hash) => Buffer.from(hash, 'base64'))).toString('base64')),
        first: numbers,
        root: fc.constantFrom(undefined, log.rootAt(2).toString('base64')),
      }),
      fc.record({
        epoch: numbers,
        index: numbers,
        redacted: fc.constantFrom(true, undefined),
        entry: fc.constantFrom(log.entryAt(1).entry, '{}', 1),
        nonce: fc.constantFrom(log.entryAt(1).nonce, 'x'),
        inclusion: fc.oneof(fc.constant(undefined), hashes),
      }),
      fc.anything(),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          line.map((part) => JSON.stringify(part) ?? '?'),
          { maxLength: 12 },
        ),
        async (lines) => {
          const report = await verifyExport(lines, { ...checks, checkpoints: [log.checkpoint(3)] })
          expect(report.problems.length > 0).toBe(!report.ok)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('does not fill the memory or the report', async () => {
    const small = makeLog({ size: 2 })
    const strays = Array.from({ length: 70_000 }, (_, i) =>
      JSON.stringify({ epoch: 1, index: 5 + 2 * i, redacted: true }),
    )
    const report = await verifyExport([...text(small.lines()), ...strays], { vkeys: small.vkeys })
    expect(report.problems).toHaveLength(1000)
    expect(report.problemCount).toBe(70_000)
  })

  it('an invalid key is the caller’s mistake', async () => {
    await expect(verifyExport([], { vkeys: ['x'] })).rejects.toThrow(expect.objectContaining({ code: 'bad_key' }))
  })
})

it('a leaf hash of other data does not pass as an entry', async () => {
  // An inner node offered as a leaf: two entries become one whose "commitment" is their hashes.
  const two = makeLog({ size: 2 })
  const fake = leafHash(Buffer.concat(two.leaves))
  const lines = editHeader(two.lines(), { to: 1, right: [] }).map((line) =>
    'hashes' in line ? ({ ...line, hashes: fake.toString('base64') } satisfies ExportHashes) : line,
  )
  const report = await verify(lines, { vkeys: two.vkeys })
  expect(report.ok).toBe(false)
})
