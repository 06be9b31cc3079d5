/** The events of a watch as server-sent events (HTML Living Standard, section 9.2). */
import type { EventId, WatchEvent } from '../actions/watch/stream.ts'

const showId = ({ epoch, revision }: EventId): string => `${epoch}.${revision}`

/** Undefined for other texts: the watch then sends the whole watched set. */
export function readEventId(text: string | undefined): EventId | undefined {
  const [, epoch, revision] = /^(\d{1,9})\.(\d{1,15})$/.exec(text ?? '') ?? []
  return epoch === undefined ? undefined : { epoch: Number(epoch), revision: Number(revision) }
}

/** JSON without indentation has no line break, so one `data` line is enough. */
const message = (name: string, data: object, id?: EventId): string =>
  `event: ${name}\n${id === undefined ? '' : `id: ${showId(id)}\n`}data: ${JSON.stringify(data)}\n\n`

function showEvent(event: WatchEvent): string {
  switch (event.kind) {
    // Flushes proxies and tells clients how long to wait before they reconnect, in milliseconds.
    case 'greeting':
      return ': purser\nretry: 1000\n\n'
    case 'heartbeat':
      return ':\n\n'
    case 'bundle':
      return message('bundle', { sequence: event.sequence })
    case 'secret': {
      const { path, live, id } = event
      return message('secret', live ? { path, ...live } : { path, deleted: true }, id)
    }
    case 'synced':
      return message('synced', { complete: event.complete }, event.id)
    case 'revoked':
      return message('revoked', { reason: event.reason })
  }
}

/** One chunk for each batch, so that a reader receives a batch as a whole. */
export async function* showEvents(batches: AsyncIterable<WatchEvent[]>): AsyncGenerator<string> {
  for await (const events of batches) yield events.map(showEvent).join('')
}
