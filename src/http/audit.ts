/** Routes for auditors: search, one entry with its proof, consistency between two sizes, export. */
import type { Actions } from '../actions/actions.ts'
import type { LogPage, Span } from '../actions/log/search.ts'
import { impossible } from '../actions/registrations.ts'
import { actions as loggedActions } from '../audit/entry.ts'
import type { Keys } from '../keys/keys.ts'
import { suggestion } from '../names/suggestion.ts'
import { openCursor, sealCursor } from './cursors.ts'
import { rendered } from './rendered.ts'
import { type ApiRequest, json, queryOf } from './request.ts'
import type { Issue } from './route-kinds.ts'

function checkAction(action: string | undefined): void {
  if (action === undefined || Object.hasOwn(loggedActions, action)) return
  const advice = suggestion(action, Object.keys(loggedActions)) || '; docs/audit-events.md lists them'
  throw impossible('/query/action', `there is no such action${advice}`)
}

/** A query with its times as dates. */
const timesIn = <Q extends { since?: string; until?: string }>({ since, until, ...query }: Q) => ({
  ...query,
  ...(since !== undefined && { since: new Date(since) }),
  ...(until !== undefined && { until: new Date(until) }),
})

const spanIn = (text: string): Span => {
  const [epoch, from, to]: [number, number, number] = JSON.parse(text)
  return { epoch, from, to }
}

const showItem = (epoch: number, { index, entry }: LogPage['items'][number]) => ({
  epoch,
  index,
  ...(entry ? { entry } : { redacted: true }),
})

const placeOf = ({ params: { epoch, index } }: ApiRequest) => ({ epoch: Number(epoch), index: Number(index) })

type Routes = Record<'search' | 'entry' | 'consistency' | 'export', Issue>

export function createAuditRoutes({
  actions: { log },
  keys,
}: {
  actions: Pick<Actions, 'log'>
  keys: Pick<Keys, 'signing'>
}): Routes {
  return {
    async search(request, snapshot) {
      const { time, caller } = request
      const { cursor, limit, ...query } = queryOf(request, 'searchEntries')
      checkAction(query.action)
      const { key } = keys.signing(snapshot, 'mac', time)
      const scope = { list: 'entries', filters: query, caller, time }
      const span = cursor === undefined ? undefined : spanIn(openCursor(key, scope, cursor))
      const release = await log.search(
        request,
        snapshot,
        { ...timesIn(query), ...(limit !== undefined && { limit }) },
        span,
      )
      return rendered(release, ({ items, range, rest, redacted, checkpoint }) =>
        json({
          items: items.map((item) => showItem(range.epoch, item)),
          nextCursor: rest ? sealCursor(key, scope, JSON.stringify([rest.epoch, rest.from, rest.to])) : null,
          range,
          redacted,
          checkpoint,
        }),
      )
    },

    entry: async (request, snapshot) =>
      rendered(await log.readEntry(request, snapshot, placeOf(request)), ({ epoch, row, proof }) => {
        const { index, leaf, body, nonce } = row
        return json({
          epoch,
          index,
          ...(body !== null && nonce !== null && { entry: body, nonce: nonce.toString('base64') }),
          commitment: leaf.toString('base64'),
          proof,
        })
      }),

    consistency: async (request) =>
      rendered(await log.proveGrowth(queryOf(request, 'getConsistency')), ({ consistency, checkpoint, ...growth }) =>
        json({ ...growth, consistency: consistency.map((hash) => hash.toString('base64')), checkpoint }),
      ),

    export: async (request, snapshot) =>
      rendered(await log.export(snapshot, timesIn(queryOf(request, 'exportEntries'))), (stream) => ({
        body: { stream, type: 'application/jsonl' },
      })),
  }
}
