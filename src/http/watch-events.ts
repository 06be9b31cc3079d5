/** Server-sent events as they go over the wire (HTML Living Standard, section 9.2): names of secrets, never a value. */
import type { SecretRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'

/** Where a reader has come to: everything up to this revision of this epoch was told. */
export type EventId = { epoch: number; revision: number }

export const eventIdOf = ({ epoch, revision }: Pick<Snapshot, 'epoch' | 'revision'>): string => `${epoch}.${revision}`

/** Nothing for what is no id of ours: then everything is told anew. */
export function readEventId(text: string | undefined): EventId | undefined {
  const [, epoch, revision] = /^(\d{1,9})\.(\d{1,15})$/.exec(text ?? '') ?? []
  return epoch === undefined ? undefined : { epoch: Number(epoch), revision: Number(revision) }
}

/** JSON of ours holds no line break, so one `data` line is enough. */
const event = (name: string, data: object, id?: string): string =>
  `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`

/** Seen by proxies and by clients that wait for the first byte; a client that was cut off waits so long, milliseconds. */
export const greeting = ': purser\nretry: 1000\n\n'
export const heartbeat = ':\n\n'

/** @param id for the last one that is told of a revision: who was cut off before it is told all of them again */
export const secretEvent = (path: string, row: SecretRow | undefined, id?: string): string =>
  event('secret', row ? { path, version: row.version, revision: row.revision } : { path, deleted: true }, id)

export const bundleEvent = (sequence: number): string => event('bundle', { sequence })

/** What came before was the watched set as it is, or with `complete: false` what of it changed since the id that was shown. */
export const syncedEvent = (complete: boolean, id: string): string => event('synced', { complete }, id)

export type Ended = 'credential' | 'grant'
export const revokedEvent = (reason: Ended): string => event('revoked', { reason })
