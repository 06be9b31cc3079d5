/** The one composition root: builds every part in order, fails at start, drains at stop. */
import { createRandomBytes } from './random.ts'
import { writeFileSync } from 'node:fs'
import { type Server as HttpServer, createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createApp } from './app.ts'
import { createAttestors } from './attest/attest.ts'
import { createGroupCommit } from './audit/group-commit.ts'
import { openLog, originOf } from './audit/log.ts'
import { createRecorder } from './audit/record.ts'
import type { Config } from './config.ts'
import { refusals } from './errors.ts'
import { createAddressOf } from './http/addresses.ts'
import { createFindSession } from './http/find-session.ts'
import { createLimits } from './http/limits.ts'
import { loadOpenApi } from './http/openapi.ts'
import { createRoutes } from './http/routes.ts'
import { createIssueAccessToken } from './issue/access-token.ts'
import { createIssueJwt } from './issue/jwt-svid.ts'
import { createIssueX509 } from './issue/x509.ts'
import { createKeys, isOwnKey, logVkey, publishedKeys } from './keys/keys.ts'
import { openKeyring } from './keys/keyring.ts'
import { markFirstUse } from './operators/bootstrap.ts'
import { createOutbound } from './outbound/client.ts'
import { readWrappingKeys } from './store/keys.ts'
import { openSnapshots } from './store/snapshot.ts'
import { type Opened, openStore } from './open-store.ts'
import { type Log as ServerLog } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { serverIdentity, tlsOptions } from './tls.ts'
import { version } from './version.ts'

export type Running = {
  /** Where it listens: `https://host:port`. */
  url: string
  /** PEM of the roots, as `ca.pem` has them. */
  roots: string
  /** The log's verification keys. */
  vkeys: string[]
  /** Stops taking connections, lets requests that have begun finish, closes everything. */
  stop(): Promise<void>
}

const features = ['x509', 'jwt', 'access-token', 'audit'] as const

export async function start(
  config: Config,
  parts: { log: ServerLog; now?: () => Date; opened?: Opened },
): Promise<Running> {
  const { log: serverLog } = parts
  const now = parts.now ?? (() => new Date())
  const randomBytes = createRandomBytes()
  for (const warning of config.warnings) serverLog.warn('config.warning', { note: warning })

  const { db, rootKey } = parts.opened ?? (await openStore(config, { log: serverLog, now, randomBytes }))
  const onError = (event: string) => (error: unknown) => serverLog.warn(event, { err: error })
  const snapshots = await openSnapshots(db, { now: Date.now, onError: onError('snapshot.refresh_failed') })
  const known = snapshots.current()
  const keys = createKeys(await openKeyring(rootKey, known.instanceId, await readWrappingKeys(db.knex)))

  const log = await openLog({
    knex: db.knex,
    epoch: known.epoch,
    size: known.size,
    trustDomain: known.trustDomain,
    signers: () => keys.logSigners(snapshots.current(), originOf(known.trustDomain, known.epoch), known.epoch, now()),
    onRollback: (note) => serverLog.error('log.rolled_back', { note }),
    onTileError: onError('log.tile_failed'),
  })
  const openapi = loadOpenApi()
  const metrics = createMetrics(
    {
      routes: openapi.operations.map((one) => one.operationId),
      codes: Object.keys(refusals),
      attestorKinds: ['kubernetes', 'oidc', 'join-token'],
      credentials: ['x509', 'jwt', 'accessToken'],
    },
    { process: true },
  )
  metrics.watchSnapshotAge(() => snapshots.age() / 1000)
  const commit = createGroupCommit({
    knex: db.knex,
    log,
    now: Date.now,
    onBatch: (entries, seconds) => metrics.appended({ path: 'batch', entries, seconds }),
    onError: onError('log.append_failed'),
  })
  const recorder = createRecorder({ db, log, commit, snapshots, randomBytes })
  const outbound = createOutbound({ allow: config.fetchAllow })
  const limits = createLimits({ limits: config.limits, workers: config.workers, now: Date.now })
  const issueX509 = createIssueX509({
    trustDomain: known.trustDomain,
    publicUrl: known.issuer,
    randomBytes,
    refusesKey: (sha256) => isOwnKey(snapshots.current(), sha256),
  })

  let draining = false
  const routes = createRoutes({
    attestors: createAttestors({ outbound }),
    keys,
    issueX509: issueX509.svid,
    issueJwt: createIssueJwt({ randomBytes }),
    issueAccessToken: createIssueAccessToken({ randomBytes }),
    randomBytes,
    db,
    log,
    version,
    audiences: config.audiences,
    features,
    refresh: config.keys.bundleRefresh,
    now,
    snapshotAge: snapshots.age,
    draining: () => draining,
    renderMetrics: async () => ({ text: await metrics.render(), type: metrics.contentType }),
    openapiText: openapi.text,
  })
  const app = createApp(routes, openapi, {
    recorder,
    snapshots,
    sessions: createFindSession(db),
    limits,
    log: serverLog,
    metrics,
    now,
    randomBytes,
    addressOf: createAddressOf(config.trustedProxies),
    firstUse: async (open, tokenId) =>
      void (await recorder.change({ ...open, action: 'token.use' }, (tx) => markFirstUse(tx, tokenId, open.time))),
  })

  const roots = publishedKeys(known, 'root-ca', now())
    .map((row) => row.chain ?? '')
    .join('')
  writeFileSync(join(config.dataDir, 'ca.pem'), roots)
  const server =
    config.tls.kind === 'off'
      ? createHttpServer({ requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 60_000 }, app)
      : createHttpsServer(
          {
            ...tlsOptions,
            ...(await serverIdentity(config.tls, roots, { recorder, keys, issue: issueX509.server, now, randomBytes })),
          },
          app,
        )
  const url = await listen(server, config)
  serverLog.info('server.ready', { listen: url, store: db.kind, epoch: known.epoch, size: log.size() })

  return {
    url,
    roots,
    vkeys: [...known.keys.values()]
      .filter((row) => row.kind === 'log')
      .map((row) => logVkey(row, originOf(known.trustDomain, row.epoch ?? 0))),
    async stop() {
      draining = true
      await drain(server, config.drainSeconds)
      await commit.idle()
      await snapshots.stop()
      outbound.close()
      await db.close()
      serverLog.info('server.stopped')
    },
  }
}

function listen(server: HttpServer, config: Config): Promise<string> {
  const { host, port } = config.listen
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      const address = server.address() as AddressInfo
      const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
      resolve(`${config.tls.kind === 'off' ? 'http' : 'https'}://${shown}:${address.port}`)
    })
  })
}

/** Requests that have begun are answered; idle connections end at once. */
async function drain(server: HttpServer, seconds: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), seconds * 1000)
  const sweep = setInterval(() => server.closeIdleConnections(), 100)
  await closed
  clearTimeout(timer)
  clearInterval(sweep)
}
