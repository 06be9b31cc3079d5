/** The one composition root: builds every part in order, fails at start, drains at stop. */
import { createRandomBytes } from './random.ts'
import { readFile } from 'node:fs/promises'
import { createApp, isForCrls, isForWorkloads } from './app.ts'
import { attestorKinds, createAttestors } from '../attest/attest.ts'
import { jobNames, startBackground } from './background.ts'
import { type Closing, createClosing } from './closing.ts'
import { createEpochs } from '../audit/epochs.ts'
import { logIdentity } from '../audit/head-evidence.ts'
import type { Config } from '../config.ts'
import { issuedKinds } from '../audit/entry.ts'
import { refusals } from '../errors.ts'
import { createAccountPins } from '../actions/credentials/account-pins.ts'
import { createAddressOf } from '../http/addresses.ts'
import { createAnswerBroken } from '../http/broken-messages.ts'
import { createBootstrapTries } from '../http/bootstrap-tries.ts'
import { createDecideAttested } from '../actions/credentials/changed-facts.ts'
import { createDocsPage } from '../http/docs-page.ts'
import { createActions } from '../actions/actions.ts'
import { createFirstUse } from '../actions/tokens/first-use.ts'
import { createLimits } from '../http/limits.ts'
import { loadOpenApi } from '../http/openapi.ts'
import type { DoorParts } from '../http/route.ts'
import { createRenewal } from '../actions/credentials/renewal.ts'
import { createRoutes } from '../http/routes.ts'
import { createWatches } from '../http/watches.ts'
import { startSummaryEntries } from '../http/summary-entries.ts'
import { createIssueAccessToken } from '../issue/access-token.ts'
import { createIssueJwt } from '../issue/jwt-svid.ts'
import { createIssueX509 } from '../issue/x509.ts'
import { trustedRoots } from '../keys/bundle.ts'
import { createClockCheck } from '../jobs/clock.ts'
import { createKeys, isOwnKey } from '../keys/keys.ts'
import { createOutbound } from '../outbound/client.ts'
import { findJoinToken } from '../store/join-tokens.ts'
import { readClock } from '../store/postgres-facts.ts'
import { openSnapshots } from '../store/snapshot.ts'
import { type Opened, openStore } from './open-store.ts'
import { composeLog } from './log.ts'
import { ownRules } from './own-rules.ts'
import { composeSecrets } from './secrets.ts'
import { openSharedKeyring } from './shared-keyring.ts'
import type { Logger } from '../telemetry/log.ts'
import { type MetricSnapshot, createMetrics } from '../telemetry/metrics.ts'
import { keepListenerCertificate } from './listener-certificate.ts'
import { type Listener, type Urls, metricsApp, openListeners } from './listeners.ts'
import { features, version } from '../version.ts'

export type Running = Urls & {
  /** PEM of the roots, as `ca.pem` has them. */
  roots: string
  /** The log's verification keys. */
  vkeys: string[]
  metrics(): Promise<MetricSnapshot>
  /** Runs every background job once, now, rather than when its time comes. */
  runJobs(): Promise<void>
  /** Stops taking connections, lets requests that have begun finish, closes everything. */
  stop(): Promise<void>
}

type Parts = {
  log: Logger
  now?: () => Date
  /** Closed with the rest, also when the start fails. */
  opened?: Opened
  /** False for one of several workers, whose primary owns the metrics listener. */
  alone?: boolean
}

/** Of a start that fails nothing is left: no lock, connection, timer or listener keeps the process, or keeps out others. */
export async function start(config: Config, parts: Parts): Promise<Running> {
  const closing = createClosing()
  try {
    return await build(config, parts, closing)
  } catch (error) {
    await closing.run().catch((err) => parts.log.warn('server.close_failed', { err }))
    throw error
  }
}

async function build(config: Config, parts: Parts, closing: Closing): Promise<Running> {
  const { log: serverLog } = parts
  const now = parts.now ?? (() => new Date())
  const randomBytes = createRandomBytes()
  for (const warning of config.warnings) serverLog.warn('config.warning', { note: warning })

  const { db, rootKey } = parts.opened ?? (await openStore(config, { log: serverLog, now, randomBytes }))
  closing.add(() => db.close())
  const onError = (event: string) => (error: unknown) => serverLog.warn(event, { err: error })
  const snapshots = await openSnapshots(db, { now: Date.now, onError: onError('snapshot.refresh_failed') })
  closing.add(() => snapshots.stop())
  const snapshot = snapshots.current()
  const shared = await openSharedKeyring(rootKey, db, snapshots)
  const { keyring } = shared
  const keys = createKeys(keyring)

  const openapi = loadOpenApi()
  const metrics = createMetrics(
    {
      routes: openapi.operations.map((operation) => operation.operationId),
      codes: Object.keys(refusals),
      attestorKinds,
      credentials: issuedKinds,
      jobs: jobNames,
    },
    { process: true },
  )
  metrics.watchSnapshotAge(() => snapshots.age() / 1000)
  const outbound = createOutbound({ allow: config.fetchAllow })
  closing.add(() => outbound.close())
  const { log, recorder, appends } = await composeLog({
    db,
    snapshots,
    keys,
    config,
    outbound,
    metrics,
    closing,
    serverLog,
    randomBytes,
  })
  const limits = createLimits({ limits: config.limits, workers: config.workers, now: Date.now })
  const summaries = startSummaryEntries({
    limits,
    recorder,
    metrics,
    now,
    randomBytes,
    onError: onError('log.append_failed'),
  })
  closing.add(() => summaries.stop())
  const issueX509 = createIssueX509({
    trustDomain: snapshot.trustDomain,
    crlUrl: (keyId) => `${config.crlUrl}/crl/${keyId}`,
    randomBytes,
    refusesKey: (sha256) => isOwnKey(snapshots.current(), sha256),
    onNamesLeftOut: (names) => serverLog.warn('server.certificate_names', { note: leftOutWords(names) }),
  })

  const { publish, sign, max, rootCa } = config.keys
  const rotator = {
    maker: {
      keyring,
      trustDomain: snapshot.trustDomain,
      ...(config.nameConstraints && { nameConstraints: config.nameConstraints }),
      randomBytes,
    },
    keys,
    lifetimes: { publish, sign, max, rootCa },
    crlUrl: (keyId: string) => `${config.crlUrl}/crl/${keyId}`,
  }
  const actions = createActions({ db })
  const sessions = actions.sessions.find
  const common = { db, recorder, snapshots, now, log: serverLog }
  const secrets = composeSecrets({ ...shared, ...common, keys, outbound, randomBytes })

  const watches = createWatches({ db, snapshots, now, config, onError: onError('watch.look_up_failed') })
  let draining = false
  const renderMetrics = async () => ({ text: await metrics.render(), type: metrics.contentType })
  const routes = createRoutes({
    attestors: createAttestors({
      outbound,
      limits,
      log: serverLog,
      clock: () => performance.now(),
      readFile: (path) => readFile(path, 'utf8'),
      keepKeysSeconds: config.keepIssuerKeys,
      audiences: config.audiences,
      findJoinToken: (hash) => findJoinToken(db.knex, hash),
      onJudged: metrics.attested,
      onLimited: () => metrics.rateLimited('attestor'),
    }),
    accounts: createAccountPins({ recorder }),
    decideAttested: createDecideAttested({ db, recorder }),
    renewal: createRenewal({ sessions, recorder, db, log: serverLog, randomBytes }),
    keys,
    issueX509: issueX509.svid,
    keyOf: issueX509.keyOf,
    issueJwt: createIssueJwt({ randomBytes }),
    issueAccessToken: createIssueAccessToken({ randomBytes }),
    own: ownRules(config),
    rootKey,
    ...secrets,
    actions,
    watches,
    isWatching: (session, path) => watches.watching(path, session),
    rotator,
    db,
    log,
    epochs: createEpochs({ knex: db.knex, trustDomain: snapshot.trustDomain, log }),
    version,
    audiences: config.audiences,
    features,
    refresh: config.keys.bundleRefresh,
    minRedactionAge: config.minRedactionAge,
    now,
    snapshots,
    snapshotAge: () => snapshots.age(),
    appends: appends.succeeds,
    draining: () => draining,
    renderMetrics,
    openapiBytes: Buffer.from(openapi.text),
    docs: createDocsPage(openapi.written),
  })
  const door: DoorParts = {
    recorder,
    snapshots,
    sessions,
    bootstrapTries: createBootstrapTries({ db, now, clock: () => performance.now() }),
    limits,
    log: serverLog,
    metrics,
    now,
    randomBytes,
    addressOf: createAddressOf(config.trustedProxies),
    firstUse: createFirstUse({ recorder }),
    acceptsApiTokens: true,
  }
  const forWorkloads = { ...door, acceptsApiTokens: false }

  const listeners: Listener[] = []
  // A start that failed has promised nobody an answer.
  closing.add(() => Promise.all(listeners.map((listener) => listener.drain(draining ? config.drainSeconds : 0))))
  closing.add(() => watches.close())
  const certificate = await keepListenerCertificate({
    tls: config.tls,
    recorder,
    keys,
    snapshots,
    issue: issueX509.server,
    now,
    randomBytes,
    dataDir: config.dataDir,
    swap: (identity) => listeners.forEach((listener) => listener.swap(identity)),
    onRenewed: () => serverLog.info('server.certificate_renewed'),
  })
  const apps = {
    everybody: config.adminListen
      ? createApp(routes.filter(isForWorkloads), openapi, forWorkloads)
      : createApp(routes, openapi, door),
    operators: createApp(routes, openapi, door),
    ...(config.crlListen && { crls: createApp(routes.filter(isForCrls), openapi, forWorkloads) }),
    answerBroken: createAnswerBroken(door),
    ...(parts.alone !== false && { metrics: metricsApp(renderMetrics) }),
  }
  const urls = await openListeners(config, certificate.identity, listeners, apps, serverLog)
  const checkClock = createClockCheck({ read: () => readClock(db.knex), now, clock: () => performance.now() })
  const background = startBackground({
    ...secrets,
    ...common,
    rotator,
    rootKey,
    metrics,
    listener: certificate.job,
    async mayEnd() {
      // A clock that was given is a test's own, and agrees with nobody's.
      if (!parts.now) await checkClock()
      return snapshots.current().issuing && !log.rolledBack()
    },
  })
  closing.add(() => background.stop())
  serverLog.info('server.ready', { listen: urls.url, store: db.kind, epoch: snapshot.epoch, size: log.size() })

  return {
    ...urls,
    roots: trustedRoots(snapshot, now()),
    runJobs: background.runAll,
    metrics: () => metrics.snapshot(),
    vkeys: [...logIdentity(snapshots.current()).vkeys],
    async stop() {
      draining = true
      await closing.run()
      serverLog.info('server.stopped')
    },
  }
}

const leftOutWords = (names: readonly string[]): string =>
  `the CA's name constraints leave out ${names.join(', ')}: rotate the root (purser keys rotate ca --level root)`
