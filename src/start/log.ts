/** The log of a server: opened, its head kept outside the database, and its two append paths. */
import { watchAppends } from '../audit/append-watch.ts'
import { createGroupCommit } from '../audit/group-commit.ts'
import { headFile, headObject } from '../audit/head-places.ts'
import { doubts } from '../audit/doubt.ts'
import { createServerWatch } from '../audit/database-server.ts'
import { countIssued } from '../audit/entry.ts'
import { startHeadKeeper } from '../audit/head-keeper.ts'
import { logIdentity } from '../audit/head-evidence.ts'
import { openLog, originOf } from '../audit/log.ts'
import { readTree } from '../audit/read-tree.ts'
import { createRecorder } from '../audit/record.ts'
import type { Closing } from './closing.ts'
import type { Config } from '../config.ts'
import type { Keys } from '../keys/keys.ts'
import type { Outbound } from '../outbound/client.ts'
import type { Database } from '../store/database.ts'
import { closeLog } from '../store/epochs.ts'
import { confirmCommits, createReplicatedHead } from '../store/replicated.ts'
import type { Snapshots } from '../store/snapshot.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'

type Parts = {
  db: Database
  snapshots: Snapshots
  keys: Keys
  config: Pick<Config, 'dataDir' | 'log' | 'database'>
  outbound: Outbound
  metrics: Metrics
  closing: Closing
  logger: Logger
  randomBytes: (size: number) => Buffer
}

export async function composeLog(parts: Parts) {
  const { db, snapshots, keys, config, outbound, metrics, closing, logger, randomBytes } = parts
  const snapshot = snapshots.current()
  const onError = (event: string) => (error: unknown) => logger.warn(event, { err: error })
  const log = await openLog({
    knex: db.knex,
    epoch: snapshot.epoch,
    size: snapshot.size,
    trustDomain: snapshot.trustDomain,
    signers: (size) =>
      keys.logSigners(snapshots.current(), originOf(snapshot.trustDomain, snapshot.epoch), snapshot.epoch, size),
    onClosed: ({ kind, detail }) =>
      logger.error('log.closed', { note: `${detail}. Nothing is issued. What to do: ${doubts[kind].do}` }),
    onTileError: onError('log.tile_failed'),
  })
  const { headUrl } = config.log
  const { failover } = config.database
  const head = await startHeadKeeper({
    log,
    identity: () => logIdentity(snapshots.current()),
    readHead: createReplicatedHead(db.knex, () => log.size()),
    readTree: ({ epoch, size }) => readTree(db.knex, epoch, size),
    judgeServer: createServerWatch({ knex: db.knex, mode: failover, now: () => new Date(), randomBytes }),
    closeForAll: (reason, { epoch }) => closeLog(db.knex, { epoch, reason }),
    places: [headFile(config.dataDir), ...(headUrl === undefined ? [] : [headObject(headUrl, outbound)])],
    onFailure: (note, err, again) => {
      if (!again) logger.warn('log.head_failed', { note, err })
      metrics.headFailed()
    },
    onKept: (head) => metrics.logHead(head),
  })
  snapshots.onChange(({ next, previous }) => {
    if (next.issuing !== previous.issuing) void head.round()
  })
  closing.add(() => head.stop())
  /** Whether appends succeed, for /readyz. */
  const appends = watchAppends({ confirm: () => confirmCommits(db.knex), now: Date.now })
  closing.add(() => appends.stop())
  const commit = createGroupCommit({
    knex: db.knex,
    log,
    now: Date.now,
    onBatch: (entries, seconds) => {
      appends.succeeded()
      metrics.appended({ path: 'batch', entries, seconds })
    },
    onError: onError('log.append_failed'),
  })
  closing.add(() => commit.idle())
  const recorder = createRecorder({
    db,
    log,
    commit,
    snapshots,
    randomBytes,
    now: Date.now,
    onError: onError('log.append_failed'),
    onIssued: (issued) => countIssued(issued, metrics.issued),
  })
  return { log, recorder, appends }
}
