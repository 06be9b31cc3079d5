/** Builds the Config from single values, and checks the rules between settings. */
import type { Fault } from './error.ts'
import { caConstraints } from './name-constraints.ts'
import type { settings } from './names.ts'
import { operatorLogin, passkeySite } from './operator-login.ts'
import type { Secret } from './secret.ts'
import { isLoopback } from './values.ts'

type Value<S> = S extends { parse: (text: string) => infer T }
  ? S extends { default: string }
    ? T
    : T | undefined
  : never

/**
 * The value of each setting. An invalid setting has its default, so that the rules between settings can still be checked;
 * the result is not used then.
 */
export type Values = { [K in keyof typeof settings]: Value<(typeof settings)[K]> }

export type Report = {
  /** Environment names of the settings that are present, valid or not. */
  present: ReadonlySet<string>
  faults: Fault[]
  warnings: string[]
  /** The verb works without the root key. */
  withoutRootKey?: true
}

type Tls = { kind: 'own-ca'; names: string[] } | { kind: 'files'; certFile: string; keyFile: string } | { kind: 'off' }

type Database = ({ kind: 'embedded' } | { kind: 'postgres'; url: Secret; migrateUrl: Secret; waitSeconds: number }) & {
  migrate: 'auto' | 'check'
  /** How the log treats a change of the database server (audit/database-server.ts). */
  failover: 'confirm' | 'synchronous' | 'unchecked'
}

/** `create`: a missing key is created, only for the embedded store. */
type RootKey = { kind: 'value'; value: Secret } | { kind: 'file'; path: string; create: boolean }

const missing = (report: Report, name: string, problem: string): void => {
  if (!report.present.has(name)) report.faults.push({ name, problem })
}

export function join(values: Values, report: Report) {
  const { faults, warnings } = report
  if (values.trustDomain === undefined) {
    missing(report, 'PURSER_TRUST_DOMAIN', 'is required: the name of this deployment, such as example.org')
  }
  const { listen, adminListen, metricsListen, crlListen, dataDir } = values
  const reach = [listen, ...(adminListen ? [adminListen] : [])]
  const local = reach.every((at) => isLoopback(at.host))
  const publicUrl = publicUrlOf(values, local, report)
  if (values.audiences?.length === 0) {
    faults.push({
      name: 'PURSER_AUDIENCES',
      problem: 'is an empty list, so no proof could be accepted: leave it out to use the public URL',
    })
  }
  const plain = [metricsListen, crlListen].filter((at) => at !== undefined)
  const fixed = [...reach, ...plain].filter((at) => at.port !== 0)
  if (new Set(fixed.map((at) => JSON.stringify([at.host, at.port]))).size < fixed.length) {
    const problem = 'two listeners have the same host and port: leave one out to share the other'
    faults.push({ name: 'PURSER_LISTEN, PURSER_ADMIN_LISTEN, PURSER_METRICS_LISTEN, PURSER_CRL_LISTEN', problem })
  }
  const tlsConfig = tls(values, publicUrl, local, report)
  const constraints = caConstraints(values, tlsConfig.kind === 'own-ca' ? tlsConfig.names : [], faults)
  const oidc = operatorLogin(values, faults)
  const site = passkeySite(values, publicUrl)
  const onPostgres = values.databaseUrl !== undefined
  if (!onPostgres && values.workers > 1)
    warnings.push('PURSER_WORKERS: the embedded store supports one worker, so 1 is used')

  return {
    trustDomain: values.trustDomain ?? '',
    /** The issuer, an https URL. */
    publicUrl,
    /** The accepted audiences of proofs; the first is the default of an attestor. Never empty. */
    audiences: values.audiences ?? [publicUrl],
    listen,
    /** Absent: operators and auditors use `listen`. */
    ...(adminListen && { adminListen }),
    ...(metricsListen && { metricsListen }),
    ...(crlListen && { crlListen }),
    /** The base of the distribution points in certificates. */
    crlUrl: values.crlUrl ?? publicUrl,
    /** Revoked certificates beyond which new ones name a shard of their CRL. */
    crlShardAbove: values.crlShardAbove,
    /** Absent: certificates of CAs have no name constraints. */
    ...(constraints && { nameConstraints: constraints }),
    tls: tlsConfig,
    dataDir,
    database: database(values, report),
    rootKey: rootKey(values, report),
    /** Networks, `address/bits`. */
    trustedProxies: values.trustedProxies,
    /** Origins and hosts, as outbound/target.ts reads them. */
    fetchAllow: values.fetchAllow,
    log: { level: values.logLevel, ...(values.logHeadUrl !== undefined && { headUrl: values.logHeadUrl }) },
    /** Always 1 on the embedded store. */
    workers: onPostgres ? values.workers : 1,
    ...(values.bootstrapTokenFile !== undefined && { bootstrapTokenFile: values.bootstrapTokenFile }),
    /** Absent: operators log in with passwords only. */
    ...(oidc && { operatorLogin: oidc }),
    sessionIdleSeconds: values.sessionIdleSeconds,
    /** Absent: passkeys are off. */
    ...(site && { passkeySite: site }),
    /** What needs a second operator. */
    approvals: { actions: values.approvalActions, lifetimeSeconds: values.approvalLifetime },
    drainSeconds: values.drainSeconds,
    /** Per listener, for all workers together. */
    maxConnections: values.maxConnections,
    /** For all workers together. */
    limits: {
      addressPerSecond: values.limitAddress,
      publicPerSecond: values.limitPublic,
      attestorPerSecond: values.limitAttestor,
      burstSeconds: values.limitBurst,
      refusalsPerMinute: values.limitRefusals,
      allRefusalsPerMinute: values.limitAllRefusals,
    },
    /** Seconds for which cached keys of an unreachable issuer are used. */
    keepIssuerKeys: values.keepIssuerKeys,
    /** Seconds for which an entry of the log cannot be redacted. */
    minRedactionAge: values.minRedactionAge,
    keys: keys(values, report),
    /** Shown at start: settings that work but are probably a mistake. */
    warnings,
  }
}

function publicUrlOf(values: Values, local: boolean, report: Report): string {
  const { publicUrl, listen } = values
  if (publicUrl === undefined) {
    if (local) return `https://localhost${listen.port === 0 ? '' : `:${listen.port}`}`
    missing(
      report,
      'PURSER_PUBLIC_URL',
      'is required unless every listener is on loopback: the https URL of the server',
    )
    return ''
  }
  // AWS IAM and most other relying parties require an https URL without a port.
  if (new URL(publicUrl).port !== '')
    report.warnings.push('PURSER_PUBLIC_URL has a port: AWS IAM refuses such an issuer')
  if (publicUrl.length > 255)
    report.warnings.push('PURSER_PUBLIC_URL has more than 255 characters: AWS IAM refuses such an issuer')
  return publicUrl
}

function tls(values: Values, publicUrl: string, local: boolean, report: Report): Tls {
  const { tlsCertFile: certFile, tlsKeyFile: keyFile, tlsNames, insecureHttp } = values
  const fault = (name: string, problem: string): void => void report.faults.push({ name, problem })
  if (certFile !== undefined) missing(report, 'PURSER_TLS_KEY_FILE', 'is missing: PURSER_TLS_CERT_FILE needs its key')
  if (keyFile !== undefined)
    missing(report, 'PURSER_TLS_CERT_FILE', 'is missing: PURSER_TLS_KEY_FILE needs its certificate')
  const ownFiles = certFile !== undefined || keyFile !== undefined
  if (insecureHttp !== undefined) {
    if (!local) fault('PURSER_INSECURE_HTTP', 'is only for listeners on loopback: leave it out, or listen on 127.0.0.1')
    if (ownFiles) fault('PURSER_INSECURE_HTTP', 'contradicts PURSER_TLS_CERT_FILE: leave one out')
    report.warnings.push('PURSER_INSECURE_HTTP: tokens and secrets cross loopback in clear text')
    return { kind: 'off' }
  }
  if (certFile !== undefined && keyFile !== undefined) {
    if (tlsNames !== undefined)
      fault('PURSER_TLS_NAMES', 'has no effect with PURSER_TLS_CERT_FILE: leave one of them out')
    return { kind: 'files', certFile, keyFile }
  }
  if (tlsNames?.length === 0)
    fault('PURSER_TLS_NAMES', 'is an empty list: leave it out to use the names of the listeners')
  const everywhere = ['0.0.0.0', '::']
  const { operatorsUrl = '' } = values
  const hosts = [
    operatorsUrl && new URL(operatorsUrl).hostname,
    publicUrl && new URL(publicUrl).hostname.replace(/^\[|\]$/g, ''),
    values.listen.host,
    values.adminListen?.host ?? '',
  ]
  const names = [...hosts.filter((host) => host !== '' && !everywhere.includes(host)), 'localhost', '127.0.0.1', '::1']
  return { kind: 'own-ca', names: tlsNames ?? [...new Set(names)] }
}

function database(values: Values, report: Report): Database {
  const { databaseUrl: url, migrateDatabaseUrl, migrate, databaseFailover: failover } = values
  if (url !== undefined) {
    const migrateUrl = migrateDatabaseUrl ?? url
    const mode = { migrate: migrate ?? 'check', failover }
    return { kind: 'postgres', url, migrateUrl, waitSeconds: values.databaseWait, ...mode }
  }
  if (migrateDatabaseUrl !== undefined) {
    missing(report, 'DATABASE_URL', 'is missing: PURSER_MIGRATE_DATABASE_URL is the same database as another role')
  }
  return { kind: 'embedded', migrate: migrate ?? 'auto', failover: 'unchecked' }
}

function rootKey(values: Values, report: Report): RootKey {
  const { rootKey: value, rootKeyFile, dataDir } = values
  if (value !== undefined && rootKeyFile !== undefined) {
    report.faults.push({
      name: 'PURSER_ROOT_KEY',
      problem: 'is set twice: leave out PURSER_ROOT_KEY or PURSER_ROOT_KEY_FILE',
    })
  }
  if (value !== undefined) return { kind: 'value', value }
  const path = rootKeyFile ?? `${dataDir.replace(/\/+$/, '')}/root-key`
  const create = !report.present.has('DATABASE_URL')
  if (
    !create &&
    rootKeyFile === undefined &&
    report.withoutRootKey !== true &&
    !report.present.has('PURSER_ROOT_KEY')
  ) {
    const problem = 'is required with DATABASE_URL: create a key with `purser root-key generate` and set its path here'
    missing(report, 'PURSER_ROOT_KEY_FILE', problem)
  }
  return { kind: 'file', path, create }
}

/** Seconds, in the shape of keys/lifetimes.ts, with the advertised cache lifetime. */
function keys(values: Values, report: Report) {
  const { keyPublish, bundleRefresh, caSign, jwtSign, maxX509, maxJwt, rootLifetime } = values
  const rule = (holds: boolean, name: string, problem: string): void => {
    if (!holds) report.faults.push({ name, problem })
  }
  const more = 'must be more than'
  rule(
    keyPublish > bundleRefresh,
    'PURSER_KEY_PUBLISH_SECONDS',
    `${more} PURSER_BUNDLE_REFRESH_SECONDS (${bundleRefresh}): readers cache the old keys for that time`,
  )
  rule(
    caSign > keyPublish,
    'PURSER_CA_SIGN_SECONDS',
    `${more} PURSER_KEY_PUBLISH_SECONDS (${keyPublish}): the next key waits for that time`,
  )
  rule(
    jwtSign > keyPublish,
    'PURSER_JWT_SIGN_SECONDS',
    `${more} PURSER_KEY_PUBLISH_SECONDS (${keyPublish}): the next key waits for that time`,
  )
  const issuing = keyPublish + caSign + maxX509
  rule(rootLifetime > issuing, 'PURSER_CA_ROOT_SECONDS', `${more} ${issuing}, the lifetime of an issuing CA`)
  return {
    publish: keyPublish,
    sign: { issuingCa: caSign, jwt: jwtSign },
    max: { x509: maxX509, jwt: maxJwt },
    rootCa: rootLifetime,
    bundleRefresh,
  }
}
