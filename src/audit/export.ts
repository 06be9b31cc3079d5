/**
 * The log as JSON lines that verify offline. The format is @purser/sdk/verify's; hashes come from the tree and its tiles,
 * entries and nonces from their rows, so that a changed row disagrees with what it was exported beside.
 */
import {
  EXPORT_BLOCK,
  type ExportEntry,
  type ExportHashes,
  type ExportHeader,
  type ExportRedacted,
} from '@purser/sdk/verify'
import type { Knex } from '../store/database.ts'
import { type EntryRow, type Place, readEntries, redactionPlaces } from '../store/entries.ts'
import type { EpochView } from './epochs.ts'
import { HASH_BYTES } from './tiles.ts'

/** Entries [from, to) of one epoch; `view` fixes the checkpoint. Sections are in order of their epochs. */
export type Section = { view: EpochView; from: number; to: number; vkeys: string[] }

type Line = ExportHeader | ExportHashes | ExportEntry | ExportRedacted

const base64 = (bytes: Buffer): string => bytes.toString('base64')
const text = (lines: readonly Line[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/**
 * Yields a header, then block by block. Reads as it is asked, and holds no transaction: what is committed never changes,
 * but for redactions.
 * @param section makes a section of an epoch that was not asked for, where a redaction entry is
 */
export async function* exportLines(
  knex: Knex,
  sections: readonly Section[],
  section: (epoch: number) => Promise<Section | undefined>,
): AsyncGenerator<string> {
  const places = await placesOf(knex, sections)
  const asked = new Set(sections.map(({ view }) => view.epoch))
  const all = [...sections]
  for (const epoch of new Set([...places.values()].map((place) => place.epoch))) {
    const more = asked.has(epoch) ? undefined : await section(epoch)
    if (more) all.push({ ...more, from: 0, to: 0 })
  }
  for (const section of all.sort((a, b) => a.view.epoch - b.view.epoch)) {
    yield text([await header(section)])
    for (const { epoch, index } of places.values()) {
      if (epoch === section.view.epoch && (index < section.from || index >= section.to))
        yield text([await proven(knex, section, index)])
    }
    yield* blocks(knex, section, places)
  }
}

/** The entries of the redactions that took something of the sections, by `nameOf`. */
type Places = ReadonlyMap<string, Place>

const nameOf = ({ epoch, index }: Place): string => `${epoch}/${index}`

async function placesOf(knex: Knex, sections: readonly Section[]): Promise<Places> {
  const lists = await Promise.all(sections.map(({ view, from, to }) => redactionPlaces(knex, view.epoch, from, to)))
  const places = lists.flat().sort((a, b) => a.epoch - b.epoch || a.index - b.index)
  return new Map(places.map((place) => [nameOf(place), place]))
}

async function header({ view, from, to, vkeys }: Section): Promise<ExportHeader> {
  const { epoch, origin, size, note: checkpoint, tree } = view
  const { left, right } = await tree.outside(from, to, size)
  return {
    purserExport: 1,
    origin,
    epoch,
    from,
    to,
    checkpoint,
    left: left.map(base64),
    right: right.map(base64),
    vkeys,
  }
}

async function* blocks(knex: Knex, { view, from, to }: Section, places: Places): AsyncGenerator<string> {
  const { epoch, tree } = view
  for (let first = from; first < to;) {
    const block = Math.floor(first / EXPORT_BLOCK)
    const end = Math.min(to, (block + 1) * EXPORT_BLOCK)
    const hashes = await tree.tile(0, block, end - block * EXPORT_BLOCK)
    if (!hashes) throw new Error(`the log has no hashes for ${epoch}/${first} to ${end}`)
    const whole = end - first === EXPORT_BLOCK
    const line: ExportHashes = {
      hashes: base64(hashes.subarray((first % EXPORT_BLOCK) * HASH_BYTES)),
      first,
      ...(whole && { root: base64(await tree.blockRoot(block)) }),
    }
    const rows = await readEntries(knex, epoch, first, end)
    if (rows.some(({ body }) => body === null)) await refuseLate(knex, { epoch, from: first, to: end }, places)
    yield text([line, ...rows.map((row) => entryLine(epoch, row))])
    first = end
  }
}

/** What was redacted after this export had begun is covered by an entry that its checkpoint does not reach. */
async function refuseLate(
  knex: Knex,
  { epoch, from, to }: { epoch: number; from: number; to: number },
  places: Places,
): Promise<void> {
  const late = (await redactionPlaces(knex, epoch, from, to)).find((place) => !places.has(nameOf(place)))
  if (late) throw new Error(`entries were redacted meanwhile (${nameOf(late)})`)
}

function entryLine(epoch: number, { index, body, nonce }: EntryRow): ExportEntry | ExportRedacted {
  if (body === null || nonce === null) return { epoch, index, redacted: true }
  return { epoch, index, entry: body, nonce: base64(nonce) }
}

async function proven(knex: Knex, { view }: Section, index: number): Promise<Line> {
  const { epoch, size, tree } = view
  if (index >= size) throw new Error(`entries were redacted meanwhile (${epoch}/${index})`)
  const [row] = await readEntries(knex, epoch, index, index + 1)
  if (!row) throw new Error(`the log has no entry ${epoch}/${index}`)
  return { ...entryLine(epoch, row), inclusion: (await tree.inclusionProof(index, size)).map(base64) }
}
