/** Settings that a small deployment never touches: limits for strangers, and how long keys live, others' and ours. */
import { count, day, seconds } from './setting.ts'

export const tuning = {
  limitAddress: count(
    'PURSER_LIMIT_ADDRESS_PER_SECOND',
    'limits.addressPerSecond',
    { from: 1, to: 1_000_000, default: 100 },
    'Requests a second from one IPv4 address or IPv6 /64.',
  ),
  limitPublic: count(
    'PURSER_LIMIT_PUBLIC_PER_SECOND',
    'limits.publicPerSecond',
    { from: 1, to: 1_000_000, default: 500 },
    "The same for what anyone may read: discovery, keys, bundle, CRLs, the log's hashes.",
  ),
  limitAttestor: count(
    'PURSER_LIMIT_ATTESTOR_PER_SECOND',
    'limits.attestorPerSecond',
    { from: 1, to: 1_000_000, default: 2_000 },
    'Proofs a second of one attestor that may fail. A tenth of it holds for one address. Addresses that have failed within a minute share it apart from those that have not, and so do those that have proven themselves within an hour.',
  ),
  limitBurst: count(
    'PURSER_LIMIT_BURST_SECONDS',
    'limits.burstSeconds',
    { from: 1, to: 600, default: 5 },
    'How many seconds of a rate may come at once.',
  ),
  limitRefusals: count(
    'PURSER_LIMIT_REFUSALS_PER_MINUTE',
    'limits.refusalsPerMinute',
    { from: 1, to: 1_000_000, default: 60 },
    'Refused strangers from one address that get an audit entry each. Beyond it, one entry a minute with their number. A tenth of it holds for one identity whose proof was verified.',
  ),
  limitAllRefusals: count(
    'PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE',
    'limits.allRefusalsPerMinute',
    { from: 1, to: 10_000_000, default: 1_200 },
    'The same for all addresses together. A tenth of it holds for all identities of one attestor that no workload entry matches.',
  ),
  maxConnections: count(
    'PURSER_MAX_CONNECTIONS',
    'limits.maxConnections',
    { from: 10, to: 1_000_000, default: 10_000 },
    'Connections that one listener holds at once. Beyond them new ones are closed at once; operators who must come in then have `PURSER_ADMIN_LISTEN`.',
  ),

  keepIssuerKeys: seconds(
    'PURSER_KEEP_ISSUER_KEYS_SECONDS',
    'attestors.keepKeysSeconds',
    { from: 60, to: 7 * day, default: day },
    "For how long an issuer's keys count while it can't be reached. They are read again every few minutes.",
  ),

  minRedactionAge: seconds(
    'PURSER_MIN_REDACTION_AGE_SECONDS',
    'log.minRedactionAgeSeconds',
    { from: day, to: 36_500 * day, default: 30 * day },
    'How old an entry of the audit log is before its text can be redacted. The database itself enforces one day.',
  ),

  keyPublish: seconds(
    'PURSER_KEY_PUBLISH_SECONDS',
    'keys.publishSeconds',
    { from: 1, to: 90 * day, default: day },
    'How long a new key is published before it signs: more than the bundle refresh.',
  ),
  bundleRefresh: seconds(
    'PURSER_BUNDLE_REFRESH_SECONDS',
    'keys.bundleRefreshSeconds',
    { from: 1, to: day, default: 300 },
    'How long bundle and key set may be kept by those who read them (`spiffe_refresh_hint`, `Cache-Control`).',
  ),
  caSign: seconds(
    'PURSER_CA_SIGN_SECONDS',
    'keys.caSignSeconds',
    { from: 1, to: 3_650 * day, default: 7 * day },
    'How long one issuing CA signs before the next.',
  ),
  jwtSign: seconds(
    'PURSER_JWT_SIGN_SECONDS',
    'keys.jwtSignSeconds',
    { from: 1, to: 3_650 * day, default: 7 * day },
    'How long one JWT key signs before the next.',
  ),
  maxX509: seconds(
    'PURSER_MAX_X509_SECONDS',
    'keys.maxX509Seconds',
    { from: 1, to: 365 * day, default: day },
    'The longest certificate that any workload entry can grant.',
  ),
  maxJwt: seconds(
    'PURSER_MAX_JWT_SECONDS',
    'keys.maxJwtSeconds',
    { from: 1, to: day, default: 3_600 },
    'The longest JWT that any workload entry can grant.',
  ),
  rootLifetime: seconds(
    'PURSER_CA_ROOT_SECONDS',
    'keys.rootSeconds',
    { from: 60, to: 30 * 365 * day, default: 3_650 * day },
    'How long the root certificate lives.',
  ),
}
