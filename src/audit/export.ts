/**
 * Exports the log as JSON lines that can be verified offline (format: @purser/sdk/verify). Hashes come from the tree and
 * its tiles, entries and nonces from their rows, so that a changed row contradicts the exported hashes.
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

/** Entries [from, to) of one epoch, under the checkpoint of `view`. Sections are ordered by epoch. */
export type Section = { view: EpochView; from: number; to: number; vkeys: string[] }

type Line = ExportHeader | ExportHashes | ExportEntry | ExportRedacted

const base64 = (bytes: Buffer): string => bytes.toString('base64')
const text = (lines: readonly Line[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/**
 * Yields a header and the blocks of each section. Reads on demand and without a transaction: committed entries never
 * change, except by redaction.
 * @param section opens a section of another epoch that contains a redaction entry
 */
export async function* exportLines(
  knex: Knex,
  sections: readonly Section[],
  section: (epoch: number) => Promise<Section | undefined>,
): AsyncGenerator<string> {
  const places = await placesOf(knex, sections)
  const epochs = new Set(sections.map(({ view }) => view.epoch))
  const all = [...sections]
  for (const epoch of new Set([...places.values()].map((place) => place.epoch))) {
    const other = epochs.has(epoch) ? undefined : await section(epoch)
    if (other) all.push({ ...other, from: 0, to: 0 })
  }
  for (const section of all.sort((a, b) => a.view.epoch - b.view.epoch)) {
    yield text([await header(section)])
    for (const { epoch, index } of places.values()) {
      if (epoch === section.view.epoch && (index < section.from || index >= section.to))
        yield text([await provenLine(knex, section, index)])
    }
    yield* blocks(knex, section, places)
  }
}

/** The positions of the redaction entries that redacted anything in the sections, by `nameOf`. */
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
    if (rows.some(({ body }) => body === null)) await refuseLateRedaction(knex, { epoch, from: first, to: end }, places)
    yield text([line, ...rows.map((row) => entryLine(epoch, row))])
    first = end
  }
}

/** Refuses a redaction that happened during the export: the checkpoint does not cover its entry. */
async function refuseLateRedaction(
  knex: Knex,
  { epoch, from, to }: { epoch: number; from: number; to: number },
  places: Places,
): Promise<void> {
  const redactedPlace = (await redactionPlaces(knex, epoch, from, to)).find((place) => !places.has(nameOf(place)))
  if (redactedPlace) throw new Error(`entries were redacted during the export (${nameOf(redactedPlace)}): export again`)
}

function entryLine(epoch: number, { index, body, nonce }: EntryRow): ExportEntry | ExportRedacted {
  if (body === null || nonce === null) return { epoch, index, redacted: true }
  return { epoch, index, entry: body, nonce: base64(nonce) }
}

async function provenLine(knex: Knex, { view }: Section, index: number): Promise<Line> {
  const { epoch, size, tree } = view
  if (index >= size) throw new Error(`entries were redacted during the export (${epoch}/${index}): export again`)
  const [row] = await readEntries(knex, epoch, index, index + 1)
  if (!row) throw new Error(`the log has no entry ${epoch}/${index}`)
  return { ...entryLine(epoch, row), inclusion: (await tree.inclusionProof(index, size)).map(base64) }
}
