import type { EpochView } from '../../audit/epochs.ts'
import { type Section, exportLines } from '../../audit/export.ts'
import { logVkeysOf } from '../../audit/log-keys.ts'
import type { Release } from '../../audit/record.ts'
import { rangeOfTime } from '../../audit/search.ts'
import type { Database } from '../../store/database.ts'
import { narrowRun } from '../../store/entries.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { impossible } from '../registrations.ts'
import { type EpochParts, reading } from './epoch-view.ts'

type ExportQuery = { epoch?: number; from?: number; to?: number; since?: Date; until?: Date }

const wholeOf = (view: EpochView | undefined, snapshot: Snapshot): Section | undefined =>
  view && { view, from: 0, to: view.size, vkeys: logVkeysOf(snapshot, view.epoch) }

export function exportLog(parts: EpochParts & { db: Pick<Database, 'knex'> }) {
  const { db, log, epochs } = parts

  /** Indexes are those of one epoch; without any, every epoch is exported. */
  async function sectionsOf({ from, to, ...query }: ExportQuery, snapshot: Snapshot): Promise<Section[]> {
    const only = query.epoch ?? (from !== undefined || to !== undefined ? log.epoch() : undefined)
    const sections: Section[] = []
    for (let epoch = only ?? 1; epoch <= (only ?? log.epoch()); epoch++) {
      const whole = wholeOf(await epochs.view(epoch), snapshot)
      if (!whole) continue
      const { size } = whole.view
      const span = await narrowRun(db.knex, epoch, await rangeOfTime(db, epoch, size, query), query)
      if (from !== undefined && from > size) throw impossible('/query/from', 'the log is smaller')
      const section = { ...whole, from: Math.max(span.from, from ?? 0), to: Math.min(span.to, to ?? size) }
      if (section.from <= section.to) sections.push(section)
    }
    if (sections.length === 0) throw impossible('/query/epoch', 'there is nothing in that range')
    return sections
  }

  /** The lines of an export. Its checkpoint is fixed before its own entry, which is therefore not in it. */
  return async (snapshot: Snapshot, query: ExportQuery): Promise<Release<AsyncIterable<string>>> => {
    const sections = await sectionsOf(query, snapshot)
    const lines = exportLines(db.knex, sections, async (epoch) => wholeOf(await epochs.view(epoch), snapshot))
    const detail = { sections: sections.map(({ view, from, to }) => ({ epoch: view.epoch, from, to })) }
    return reading(lines, { detail })
  }
}
