import type { Logger } from '../../telemetry/log.ts'
import { openWatch } from './open.ts'
import { type WatchParts, createWatches } from './watches.ts'

export type WatchActionParts = Omit<WatchParts, 'onError'> & { logger: Pick<Logger, 'warn'> }

export function createWatchActions({ logger, ...parts }: WatchActionParts) {
  const watches = createWatches({ ...parts, onError: (err) => logger.warn('watch.look_up_failed', { err }) })
  return {
    open: openWatch(watches),
    isWatching: (session: string, path: string) => watches.isWatching(session, path),
    close: () => watches.close(),
  }
}

export type WatchActions = ReturnType<typeof createWatchActions>
