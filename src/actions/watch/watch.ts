import type { Database } from '../../store/database.ts'
import type { Logger } from '../../telemetry/log.ts'
import { createSecretFeed } from './feed.ts'
import { openWatch } from './open.ts'
import { type WatchParts, createWatches } from './watches.ts'

export type WatchActionParts = Omit<WatchParts, 'onError' | 'db' | 'feed'> & {
  db: Pick<Database, 'knex' | 'listen'>
  logger: Pick<Logger, 'warn'>
}

export function createWatchActions({ logger, ...parts }: WatchActionParts) {
  const onError = (err: unknown): void => logger.warn('watch.look_up_failed', { err })
  const watches = createWatches({ ...parts, feed: createSecretFeed(parts.db, onError), onError })
  return {
    open: openWatch(watches, parts.db),
    isWatching: (session: string, path: string) => watches.isWatching(session, path),
    close: () => watches.close(),
  }
}
