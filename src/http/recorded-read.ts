/** Operators read nothing without an entry: a stolen token shows in the log with everything that it looked at. */
import type { EntryPart, LogEntry } from '../audit/entry.ts'
import { cut } from '../audit/entry.ts'
import type { ApiRequest, Reply } from './request.ts'
import type { Issue, Read, Route } from './route-kinds.ts'

/** Members of a query that select a page. A cursor is long, and says nothing to a reader of the log. */
const ofPages = new Set(['cursor', 'limit'])

/** What was looked at: the object of the path, or the filters of a list and the number of its items. */
function entryOf({ action, path }: Pick<Route, 'action' | 'path'>, request: ApiRequest, reply: Reply): EntryPart {
  const filters = Object.entries(request.query).filter(([name, value]) => !ofPages.has(name) && value !== undefined)
  const items = itemsOf(reply)
  const detail = {
    ...(filters.length > 0 && {
      filters: Object.fromEntries(filters.map(([name, value]) => [name, shortened(value)])),
    }),
    ...(items && { found: items.length }),
  }
  const resource = resourceOf(action, path, request)
  return { ...(resource && { resource }), ...(Object.keys(detail).length > 0 && { detail }) }
}

const shortened = (value: unknown): unknown => (Array.isArray(value) ? value.map(shortened) : cut(String(value)))

function itemsOf({ body }: Reply): unknown[] | undefined {
  const value = 'json' in body ? body.json : undefined
  return typeof value === 'object' && value !== null && 'items' in value && Array.isArray(value.items)
    ? value.items
    : undefined
}

/** By name: a read does not look up the id. */
function resourceOf(action: string, path: string, { params }: ApiRequest): LogEntry['resource'] {
  const [, parameter = ''] = /\{(\w+)\}/.exec(path) ?? []
  const name = params[parameter]
  const [kind = ''] = action.split('.')
  return name === undefined ? undefined : { kind, id: name, name }
}

/** The read as a decision whose entry is appended before its reply leaves. */
export const recordedRead =
  (route: Pick<Route, 'action' | 'path'>, handler: Read): Issue =>
  async (request, snapshot) => {
    const reply = await handler(request, snapshot)
    return { result: reply, entry: entryOf(route, request, reply), whileClosed: true, holds: () => true }
  }
