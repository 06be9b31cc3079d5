/** Settings that small deployments rarely change: rate limits and the lifetimes of keys. */
import { count, day, seconds } from './setting.ts'

export const tuning = {
  limitAddress: count(
    'PURSER_LIMIT_ADDRESS_PER_SECOND',
    'limits.addressPerSecond',
    { from: 1, to: 1_000_000, default: 100 },
    'Requests per second from one IPv4 address or IPv6 /64.',
  ),
  limitPublic: count(
    'PURSER_LIMIT_PUBLIC_PER_SECOND',
    'limits.publicPerSecond',
    { from: 1, to: 1_000_000, default: 500 },
    'The same for public routes: discovery, keys, bundle, CRLs, hashes of the log.',
  ),
  limitAttestor: count(
    'PURSER_LIMIT_ATTESTOR_PER_SECOND',
    'limits.attestorPerSecond',
    { from: 1, to: 1_000_000, default: 2_000 },
    'Failing proofs per second for one attestor; one address may use a tenth of it. The limit applies separately to three groups of addresses: those that failed within a minute, those that attested within an hour, and all others. So failures of strangers do not lock out workloads.',
  ),
  limitBurst: count(
    'PURSER_LIMIT_BURST_SECONDS',
    'limits.burstSeconds',
    { from: 1, to: 600, default: 5 },
    'The size of a burst, in seconds of a rate.',
  ),
  limitRefusals: count(
    'PURSER_LIMIT_REFUSALS_PER_MINUTE',
    'limits.refusalsPerMinute',
    { from: 1, to: 1_000_000, default: 60 },
    'Refusals of unauthenticated requests from one address that get their own log entry. Further refusals are counted in one entry per minute. A tenth applies to an identity with a verified proof.',
  ),
  limitAllRefusals: count(
    'PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE',
    'limits.allRefusalsPerMinute',
    { from: 1, to: 10_000_000, default: 1_200 },
    'The same for all addresses together. A tenth applies to all identities of one attestor that match no workload entry.',
  ),
  maxConnections: count(
    'PURSER_MAX_CONNECTIONS',
    'limits.maxConnections',
    { from: 10, to: 1_000_000, default: 10_000 },
    'Concurrent connections per listener. Further connections are closed at once; `PURSER_ADMIN_LISTEN` keeps a way in for operators.',
  ),

  keepIssuerKeys: seconds(
    'PURSER_KEEP_ISSUER_KEYS_SECONDS',
    'attestors.keepKeysSeconds',
    { from: 60, to: 7 * day, default: day },
    'How long cached keys of an unreachable issuer are used. Keys are refreshed every few minutes.',
  ),

  crlShardAbove: count(
    'PURSER_CRL_SHARD_ABOVE',
    'crlShardAbove',
    { from: 0, to: 100_000_000, default: 20_000 },
    'While more revoked certificates than this are stored (until a day after their end), new certificates name one of 64 shards of their CRL, so that no verifier reads a large one. Verifiers must know `issuingDistributionPoint` (RFC 5280 section 5.2.5), as OpenSSL, Java and the SDK do. The whole CRL of an issuing key stays at its address.',
  ),

  minRedactionAge: seconds(
    'PURSER_MIN_REDACTION_AGE_SECONDS',
    'log.minRedactionAgeSeconds',
    { from: day, to: 36_500 * day, default: 30 * day },
    'The minimum age of an entry of the audit log before it can be redacted. The database enforces at least one day.',
  ),

  keyPublish: seconds(
    'PURSER_KEY_PUBLISH_SECONDS',
    'keys.publishSeconds',
    { from: 1, to: 90 * day, default: day },
    'How long a new key is published before it signs. Must be longer than the bundle refresh.',
  ),
  bundleRefresh: seconds(
    'PURSER_BUNDLE_REFRESH_SECONDS',
    'keys.bundleRefreshSeconds',
    { from: 1, to: day, default: 300 },
    'How long clients may cache the bundle and the key set (`spiffe_refresh_hint`, `Cache-Control`).',
  ),
  caSign: seconds(
    'PURSER_CA_SIGN_SECONDS',
    'keys.caSignSeconds',
    { from: 1, to: 3_650 * day, default: 7 * day },
    'How long an issuing CA signs before the next one.',
  ),
  jwtSign: seconds(
    'PURSER_JWT_SIGN_SECONDS',
    'keys.jwtSignSeconds',
    { from: 1, to: 3_650 * day, default: 7 * day },
    'How long a JWT key signs before the next one.',
  ),
  maxX509: seconds(
    'PURSER_MAX_X509_SECONDS',
    'keys.maxX509Seconds',
    { from: 1, to: 365 * day, default: day },
    'The maximum lifetime of a certificate.',
  ),
  maxJwt: seconds(
    'PURSER_MAX_JWT_SECONDS',
    'keys.maxJwtSeconds',
    { from: 1, to: day, default: 3_600 },
    'The maximum lifetime of a JWT.',
  ),
  rootLifetime: seconds(
    'PURSER_CA_ROOT_SECONDS',
    'keys.rootSeconds',
    { from: 60, to: 30 * 365 * day, default: 3_650 * day },
    'The lifetime of the root certificate.',
  ),
}
