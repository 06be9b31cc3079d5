/** The auditor's routes: searching, one entry with its proof, growth between two sizes, and the export. */
import { type EntryPart, actions } from '../audit/entry.ts'
import type { EpochView, Epochs } from '../audit/epochs.ts'
import { type Section, exportLines } from '../audit/export.ts'
import type { Log } from '../audit/log.ts'
import type { Release } from '../audit/record.ts'
import { filterNames, filterTerms, rangeOfTime, searchPage } from '../audit/search.ts'
import { formatProof } from '@purser/sdk/verify'
import { suggestion } from '../names/suggestion.ts'
import { refuse } from '../errors.ts'
import type { Keys } from '../keys/keys.ts'
import type { Database } from '../store/database.ts'
import { narrowRun, readEntries } from '../store/entries.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { openCursor, sealCursor } from './cursors.ts'
import { logVkeysOf } from './log-keys.ts'
import { type Reply, json, queryFor } from './request.ts'
import type { Issue } from './route.ts'

export type AuditParts = {
  db: Pick<Database, 'knex' | 'kind'>
  log: Pick<Log, 'epoch'>
  epochs: Epochs
  keys: Pick<Keys, 'signing'>
}

type Query<Id extends Parameters<typeof queryFor>[1]> = ReturnType<typeof queryFor<Id>>

/** Given whatever state the log is in, to whoever may still read when the entry is written: the door sees to that. */
const reading = (reply: Reply, entry: EntryPart): Release<Reply> => ({
  result: reply,
  entry,
  whileClosed: true,
  holds: () => true,
})

const wrong = (pointer: string, detail: string): Error => refuse('impossible', { errors: [{ pointer, detail }] })

function checkAction(action: string | undefined): void {
  if (action === undefined || Object.hasOwn(actions, action)) return
  throw wrong(
    '/query/action',
    `there is no such action${suggestion(action, Object.keys(actions)) || '; docs/audit-events.md lists them'}`,
  )
}

const timeOf = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text))

export function createAuditRoutes(parts: AuditParts): Record<'search' | 'entry' | 'consistency' | 'export', Issue> {
  const { db, log, epochs } = parts

  async function viewOf(epoch: number | undefined, pointer: string): Promise<EpochView> {
    const view = await epochs.view(epoch ?? log.epoch())
    if (!view) throw wrong(pointer, 'there is no such epoch')
    return view
  }

  /** What is left of a search: on its first page all, on later ones what the cursor says. The end stays as it was. */
  async function spanOf(
    query: Query<'searchEntries'>,
    open: (cursor: string) => string,
  ): Promise<{ view: EpochView; from: number; to: number }> {
    if (query.cursor !== undefined) {
      const [epoch, from, to]: [number, number, number] = JSON.parse(open(query.cursor))
      return { view: await viewOf(epoch, '/query/epoch'), from, to }
    }
    const view = await viewOf(query.epoch, '/query/epoch')
    const span = await rangeOfTime(db, view.epoch, view.size, {
      since: timeOf(query.since),
      until: timeOf(query.until),
    })
    const { fromIndex } = query
    if (fromIndex === undefined) return { view, ...span }
    if (query.order === 'asc') return { view, from: Math.min(Math.max(span.from, fromIndex), span.to), to: span.to }
    return { view, from: span.from, to: Math.max(Math.min(span.to, fromIndex + 1), span.from) }
  }

  return {
    async search(request, snapshot) {
      const { time } = request
      const given = queryFor(request, 'searchEntries')
      const { limit = 50, cursor: _, ...asked } = given
      checkAction(asked.action)
      const { key } = parts.keys.signing(snapshot, 'mac', time)
      const scope = { list: 'entries', filters: asked, caller: request.caller, time }
      const { view, from, to } = await spanOf(given, (cursor) => openCursor(key, scope, cursor))
      const { order = 'desc', since, until } = asked
      const page = await searchPage(db, {
        epoch: view.epoch,
        from,
        to,
        terms: filterTerms(asked),
        ...(since !== undefined && { since: new Date(since) }),
        ...(until !== undefined && { until: new Date(until) }),
        order,
        limit,
      })
      const rest = order === 'asc' ? { from: page.to, to } : { from, to: page.from }
      const range = { epoch: view.epoch, from: page.from, to: page.to }
      const reply = json({
        items: page.items.map(({ index, entry }) => ({
          epoch: view.epoch,
          index,
          ...(entry ? { entry } : { redacted: true }),
        })),
        nextCursor:
          rest.from < rest.to ? sealCursor(key, scope, JSON.stringify([view.epoch, rest.from, rest.to])) : null,
        range,
        redacted: page.redacted,
        checkpoint: view.note,
      })
      const filters = Object.fromEntries(filterNames.flatMap((name) => (asked[name] ? [[name, asked[name]]] : [])))
      return reading(reply, { detail: { filters, range, found: page.items.length } })
    },

    async entry({ params }) {
      const [epoch, index] = [Number(params.epoch), Number(params.index)]
      const view = await epochs.view(epoch)
      const row = view && index < view.size ? (await readEntries(db.knex, epoch, index, index + 1))[0] : undefined
      if (!view || !row) throw refuse('not_found')
      const { leaf, body, nonce } = row
      const hashes = await view.tree.inclusionProof(index, view.size)
      const reply = json({
        epoch,
        index,
        ...(body !== null && nonce !== null && { entry: body, nonce: nonce.toString('base64') }),
        commitment: leaf.toString('base64'),
        proof: formatProof({ index, hashes, checkpoint: view.note }),
      })
      return reading(reply, { resource: { kind: 'entry', id: `${epoch}/${index}` } })
    },

    async consistency(request) {
      const { from, epoch, ...rest } = queryFor(request, 'getConsistency')
      const view = await viewOf(epoch, '/query/epoch')
      const to = rest.to ?? view.size
      if (from < 1) throw wrong('/query/from', 'nothing is proved from a log without entries')
      if (to > view.size) throw wrong('/query/to', 'the log is smaller')
      if (from > to) throw wrong('/query/from', 'a log never shrinks: the smaller size comes first')
      const consistency = (await view.tree.consistencyProof(from, to)).map((hash) => hash.toString('base64'))
      const reply = json({ epoch: view.epoch, from, to, consistency, checkpoint: view.note })
      const detail = { growth: { epoch: view.epoch, from, to } }
      return reading(reply, { resource: { kind: 'epoch', id: String(view.epoch) }, detail })
    },

    /** The checkpoint is fixed here, before this export's own entry, which is therefore not in it. */
    async export(request, snapshot) {
      const sections = await sectionsOf(queryFor(request, 'exportEntries'), snapshot)
      const stream = exportLines(db.knex, sections, async (epoch) => wholeOf(await epochs.view(epoch), snapshot))
      const reply: Reply = { body: { stream, type: 'application/jsonl' } }
      const detail = { sections: sections.map(({ view, from, to }) => ({ epoch: view.epoch, from, to })) }
      return reading(reply, { detail })
    },
  }

  function wholeOf(view: EpochView | undefined, snapshot: Snapshot): Section | undefined {
    return view && { view, from: 0, to: view.size, vkeys: logVkeysOf(snapshot, view.epoch) }
  }

  /** Indexes are those of one epoch; without any, every epoch is exported. */
  async function sectionsOf(query: Query<'exportEntries'>, snapshot: Snapshot): Promise<Section[]> {
    const one = query.epoch ?? (query.from !== undefined || query.to !== undefined ? log.epoch() : undefined)
    const sections: Section[] = []
    for (let epoch = one ?? 1; epoch <= (one ?? log.epoch()); epoch++) {
      const whole = wholeOf(await epochs.view(epoch), snapshot)
      if (!whole) continue
      const { view } = whole
      const times = { since: timeOf(query.since), until: timeOf(query.until) }
      const span = await narrowRun(db.knex, epoch, await rangeOfTime(db, epoch, view.size, times), times)
      const from = Math.max(span.from, query.from ?? 0)
      const to = Math.min(span.to, query.to ?? view.size)
      if (query.from !== undefined && query.from > view.size) throw wrong('/query/from', 'the log is smaller')
      if (from <= to) sections.push({ ...whole, from, to })
    }
    if (sections.length === 0) throw wrong('/query/epoch', 'there is nothing in that range')
    return sections
  }
}
