/** Starts and stops a server: composes the product, opens its listeners, runs its jobs. */
import { attestorKinds } from '../attest/attest.ts'
import { issuedLabels } from '../audit/entry.ts'
import { logIdentity } from '../audit/head-evidence.ts'
import type { Config } from '../config.ts'
import { refusals } from '../errors.ts'
import { createLimits } from '../http/limits.ts'
import { loadOpenApi } from '../http/openapi.ts'
import { startSummaryEntries } from '../http/summary-entries.ts'
import { createClockCheck } from '../jobs/clock.ts'
import { trustedRoots } from '../keys/bundle.ts'
import { readClock } from '../store/postgres-facts.ts'
import type { Logger } from '../telemetry/log.ts'
import { type MetricSnapshot, createMetrics } from '../telemetry/metrics.ts'
import { jobNames, startBackground } from './background.ts'
import { type Closing, createClosing } from './closing.ts'
import { compose } from './compose.ts'
import { composeApps } from './apps.ts'
import { keepListenerCertificate } from './listener-certificate.ts'
import { type Listener, type Urls, openListeners } from './listeners.ts'
import type { Opened } from './open-store.ts'
import { type Steps, createSteps } from './steps.ts'

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
  /** A clock of a test. */
  now?: () => Date
  /** Closed with the rest, also when the start fails. */
  opened?: Opened
  /** False for one of several workers, whose primary owns the metrics listener. */
  alone?: boolean
}

/** A start that fails leaves no lock, connection, timer or listener, and logs the step that failed. */
export async function start(config: Config, parts: Parts): Promise<Running> {
  const closing = createClosing()
  const steps = createSteps()
  try {
    return await build(config, parts, closing, steps)
  } catch (error) {
    parts.log.error('server.start_failed', { step: steps.current(), err: error })
    await closing.run().catch((err) => parts.log.warn('server.close_failed', { err }))
    throw error
  }
}

async function build(config: Config, parts: Parts, closing: Closing, steps: Steps): Promise<Running> {
  const { log: logger } = parts
  const now = parts.now ?? (() => new Date())
  for (const warning of config.warnings) logger.warn('config.warning', { note: warning })
  const openapi = loadOpenApi()
  const metrics = createMetrics(
    {
      routes: openapi.operations.map((operation) => operation.operationId),
      codes: Object.keys(refusals),
      attestorKinds,
      credentials: issuedLabels,
      jobs: jobNames,
    },
    { process: true },
  )
  const limits = createLimits({ limits: config.limits, workers: config.workers, now: Date.now })
  const opened = parts.opened && { opened: parts.opened }
  const product = await compose({ config, logger, metrics, limits, now, closing, steps, ...opened })
  const { randomBytes, keys, issue } = product
  const { db, snapshots } = product.store
  const { log, recorder } = product.log
  const summaries = startSummaryEntries({
    limits,
    recorder,
    metrics,
    now,
    randomBytes,
    onError: (err) => logger.warn('log.append_failed', { err }),
  })
  closing.add(() => summaries.stop())

  steps.begin('routes')
  let draining = false
  const listeners: Listener[] = []
  // A start that fails has no request to answer.
  closing.add(() => Promise.all(listeners.map((listener) => listener.drain(draining ? config.drainSeconds : 0))))
  const apps = composeApps({ config, product, openapi, metrics, limits, closing, draining: () => draining })

  steps.begin('certificate')
  const certificate = await keepListenerCertificate({
    tls: config.tls,
    recorder,
    keys: keys.keys,
    snapshots,
    issue: issue.x509.server,
    now,
    randomBytes,
    dataDir: config.dataDir,
    swap: (identity) => listeners.forEach((listener) => listener.swap(identity)),
    onRenewed: () => logger.info('server.certificate_renewed'),
  })

  steps.begin('listeners')
  const served = parts.alone === false ? { ...apps, metrics: undefined } : apps
  const urls = await openListeners(config, certificate.identity, listeners, served, logger)

  steps.begin('jobs')
  const checkClock = createClockCheck({ read: () => readClock(db.knex), now, clock: () => performance.now() })
  const background = startBackground({
    ...product.secrets,
    ...product.store,
    ...keys,
    recorder,
    carryOut: product.carryOut,
    now,
    log: logger,
    metrics,
    listener: certificate.job,
    async mayEnd() {
      // A test's clock differs from the database's on purpose.
      if (!parts.now) await checkClock()
      return snapshots.current().issuing && !log.rolledBack()
    },
  })
  closing.add(() => background.stop())
  const { epoch } = snapshots.current()
  logger.info('server.ready', { listen: urls.url, store: db.kind, epoch, size: log.size() })

  return {
    ...urls,
    roots: trustedRoots(snapshots.current(), now()),
    runJobs: background.runAll,
    metrics: () => metrics.snapshot(),
    vkeys: [...logIdentity(snapshots.current()).vkeys],
    async stop() {
      draining = true
      await closing.run()
      logger.info('server.stopped')
    },
  }
}
