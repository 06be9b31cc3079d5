/** `GET /api/v1/watch`. */
import type { Actions } from '../actions/actions.ts'
import { rendered } from './rendered.ts'
import { queryOf } from './request.ts'
import type { Issue } from './route-kinds.ts'
import { readEventId, showEvents } from './watch-events.ts'

export function createWatchRoute({ open }: Pick<Actions['watch'], 'open'>): Issue {
  return async (request, snapshot) => {
    const { path: paths = [], prefix } = queryOf(request, 'watch')
    const since = readEventId(request.lastEventId)
    const query = { paths, ...(prefix !== undefined && { prefix }), ...(since && { since }) }
    return rendered(await open(request, snapshot, query), ({ events, cut, close }) => ({
      // Keeps nginx from buffering the stream.
      headers: { 'x-accel-buffering': 'no' },
      body: { stream: showEvents(events), type: 'text/event-stream', live: { cut, onClose: close } },
    }))
  }
}
