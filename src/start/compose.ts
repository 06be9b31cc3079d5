/** What Purser does, without a way in: groups of parts that the routes, the jobs and tests are built from. */
import { readFile } from 'node:fs/promises'
import { createActions } from '../actions/actions.ts'
import type { OidcLogin } from '../actions/logins/id-token.ts'
import { createCarryOut } from '../actions/containments/carry-out.ts'
import { type Attestors, createAttestors } from '../attest/attest.ts'
import { createVerifyIdToken } from '../attest/id-token.ts'
import { createEpochs } from '../audit/epochs.ts'
import type { Config } from '../config.ts'
import type { Limits } from '../http/limits.ts'
import { createIssueAccessToken } from '../issue/access-token.ts'
import { createIssueJwt } from '../issue/jwt-svid.ts'
import { createIssueX509 } from '../issue/x509.ts'
import { isOwnKey } from '../keys/keys.ts'
import { createPasswords } from '../operators/passwords.ts'
import { type Outbound, createOutbound } from '../outbound/client.ts'
import type { Database } from '../store/database.ts'
import { type Snapshots, openSnapshots } from '../store/snapshot.ts'
import { findJoinToken } from '../store/tokens.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Closing } from './closing.ts'
import { composeKeys } from './keys.ts'
import { composeLog } from './log.ts'
import { type Opened, openStore } from './open-store.ts'
import { ownRules } from './own-rules.ts'
import { createRandomBytes } from './random.ts'
import { composeSecrets } from './secrets.ts'
import type { Steps } from './steps.ts'

export type Product = Awaited<ReturnType<typeof compose>>

type Parts = {
  config: Config
  logger: Logger
  metrics: Metrics
  limits: Limits
  now: () => Date
  closing: Closing
  steps: Steps
  /** A store that is open already: it is closed with the rest. */
  opened?: Opened
}

export async function compose(parts: Parts) {
  const { config, logger, metrics, now, closing, steps } = parts
  const randomBytes = createRandomBytes()

  steps.begin('store')
  const { db, rootKey } = parts.opened ?? (await openStore(config, { log: logger, now, randomBytes }))
  closing.add(() => db.close())

  steps.begin('snapshot')
  const onError = (err: unknown): void => logger.warn('snapshot.refresh_failed', { err })
  const snapshots = await openSnapshots(db, {
    now: Date.now,
    onError,
    crlShardAbove: config.crlShardAbove,
    onProgress: logProgress(logger),
  })
  closing.add(() => snapshots.stop())
  metrics.watchSnapshotAge(() => snapshots.age() / 1000)

  steps.begin('keys')
  const keys = await composeKeys({ config, rootKey, db, snapshots, randomBytes })

  const outbound = createOutbound({ allow: config.fetchAllow })
  closing.add(() => outbound.close())

  steps.begin('log')
  const log = await composeLog({
    db,
    snapshots,
    keys: keys.keys,
    config,
    outbound,
    metrics,
    closing,
    logger,
    randomBytes,
  })
  const { trustDomain } = snapshots.current()
  const epochs = createEpochs({ knex: db.knex, trustDomain, log: log.log })

  steps.begin('secrets')
  const common = { db, snapshots, outbound, now, randomBytes, log: logger, recorder: log.recorder }
  const secrets = composeSecrets({ ...common, keys })

  const carryOut = createCarryOut({ ...common, ...secrets })

  steps.begin('attestors')
  const attestors = composeAttestors(parts, { db, outbound })
  const oidcLogin = composeOidcLogin(parts, outbound)
  const issue = composeIssue(config, { snapshots, randomBytes, logger })
  const actions = createActions({
    ...common,
    ...keys,
    ...secrets,
    carryOut,
    passwords: createPasswords(),
    idleSeconds: config.sessionIdleSeconds,
    ...(oidcLogin && { oidcLogin }),
    ...(config.passkeySite && { passkeySite: config.passkeySite }),
    attestors,
    issueX509: issue.x509.svid,
    keyOf: issue.x509.keyOf,
    issueJwt: issue.jwt,
    issueAccessToken: issue.accessToken,
    own: ownRules(config),
    minRedactionAge: config.minRedactionAge,
    approvals: config.approvals,
    refresh: config.keys.bundleRefresh,
    log: log.log,
    epochs,
    logger,
    config,
  })
  const groups = {
    store: { db, snapshots },
    keys,
    log: { ...log, epochs },
    issue,
    secrets,
    attestors,
    actions,
    carryOut,
  }
  return { now, randomBytes, logger, ...groups }
}

/** A line a second while a large snapshot is read. */
function logProgress(logger: Logger): (table: string, rows: number) => void {
  let last = performance.now()
  return (table, count) => {
    if (performance.now() - last < 1_000) return
    last = performance.now()
    logger.info('snapshot.loading', { note: table, count })
  }
}

type IssueParts = { snapshots: Snapshots; randomBytes: (size: number) => Buffer; logger: Logger }

function composeIssue(
  config: Pick<Config, 'crlUrl' | 'crlShardAbove'>,
  { snapshots, randomBytes, logger }: IssueParts,
) {
  return {
    x509: createIssueX509({
      trustDomain: snapshots.current().trustDomain,
      crlUrl: (keyId) => `${config.crlUrl}/crl/${keyId}`,
      areCrlsSharded: () => snapshots.current().blocks.revokedCertificates() > config.crlShardAbove,
      randomBytes,
      refusesKey: (sha256) => isOwnKey(snapshots.current(), sha256),
      onNamesLeftOut: (names) =>
        logger.warn('server.certificate_names', {
          note: `the CA's name constraints leave out ${names.join(', ')}: rotate the root (purser keys rotate ca --level root)`,
        }),
    }),
    jwt: createIssueJwt({ randomBytes }),
    accessToken: createIssueAccessToken({ randomBytes }),
  }
}

function composeAttestors(
  { config, logger, metrics, limits }: Parts,
  { db, outbound }: { db: Database; outbound: Outbound },
): Attestors {
  return createAttestors({
    outbound,
    limits,
    log: logger,
    clock: () => performance.now(),
    readFile: (path) => readFile(path, 'utf8'),
    keepKeysSeconds: config.keepIssuerKeys,
    audiences: config.audiences,
    findJoinToken: (hash) => findJoinToken(db.knex, hash),
    onJudged: metrics.attested,
    onLimited: () => metrics.rateLimited('attestor'),
  })
}

function composeOidcLogin({ config, logger }: Parts, outbound: Outbound): OidcLogin | undefined {
  const { operatorLogin: rules } = config
  return (
    rules && {
      ...rules,
      verify: createVerifyIdToken(rules, {
        outbound,
        log: logger,
        clock: () => performance.now(),
        readFile: (path) => readFile(path, 'utf8'),
        keepKeysSeconds: config.keepIssuerKeys,
      }),
    }
  )
}
