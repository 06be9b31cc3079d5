/** What a watch sends: names and versions of secrets, never a value. */

/** How far a reader has come: it was sent every change up to this revision of this epoch. */
export type EventId = { epoch: number; revision: number }

/** The watcher's credential or its grant ended. */
export type EndReason = 'credential' | 'grant'

export type WatchEvent =
  | { kind: 'greeting' }
  | { kind: 'heartbeat' }
  | { kind: 'bundle'; sequence: number }
  /** `live` is absent for a secret that was deleted. `id` is set on the last event of a revision. */
  | { kind: 'secret'; path: string; live?: { version: number; revision: number }; id?: EventId }
  /** The events before were the watched set; with `complete: false`, the changes since the id that the reader presented. */
  | { kind: 'synced'; complete: boolean; id: EventId }
  | { kind: 'revoked'; reason: EndReason }
