import type { SecretOption } from './secrets/secret.ts'

/** What the server asks of a proof that is made on demand. */
export type ProofRequest = {
  /** Audiences that the server takes; the proof must name one of them. */
  audiences: readonly string[]
  signal: AbortSignal
}

/**
 * Where the orchestrator's token comes from: the token itself, a file that is read again on every use, or a function
 * that gets one. A join token (`purser_join_…`) is a proof too.
 */
export type ProofOption = string | { file: string } | ((request: ProofRequest) => Promise<string>)

/**
 * How the server is verified: PEM roots, SHA-256 fingerprints of a root (hex, colons allowed), or with `'system'` the
 * roots that come with Node.js, which are not the operating system's.
 */
export type CaOption = { pem: string } | { sha256: string | readonly string[] } | 'system'

export type X509Option = {
  /** DNS names in the certificate; left out: all that are granted, `[]`: none. */
  dnsNames?: readonly string[]
  /** Seconds; the server shortens what is longer than granted. */
  lifetimeSeconds?: number
  /** The server makes the key and sends it. Only for what can't use the EC P-256 key that is made here otherwise. */
  generateKey?: 'EC-P256' | 'RSA-2048'
}

/** Every member has an environment variable or a default, so `connect()` alone is enough where the environment is set up. */
export type ConnectOptions = {
  /** `https://host:port`. Environment: PURSER_ADDR. */
  addr?: string
  /** Environment: PURSER_CA_FILE, else PURSER_CA_SHA256, else the roots that come with Node.js. Never unverified. */
  ca?: CaOption
  /** Allows `http://` to 127.0.0.0/8 and ::1, for development. There is no environment variable for it. */
  allowPlainLoopback?: boolean
  /** The audience that the proof must name. Environment: PURSER_AUDIENCE; default: what the verified server says. */
  audience?: string
  /** The attestor's name, where the proof alone doesn't tell. Environment: PURSER_ATTESTOR. */
  attestor?: string
  /** The workload entry's name, where several match. Environment: PURSER_WORKLOAD. */
  workload?: string
  /** Environment: PURSER_PROOF_FILE, PURSER_JOIN_TOKEN; default: what the README's order finds ("The proof"). */
  proof?: ProofOption
  /** The certificate: on unless `false`. */
  x509?: boolean | X509Option
  /** Audiences whose JWTs come along in the first request; others can be asked for later by `jwt()`. */
  jwts?: readonly string[]
  /** Seconds that a JWT should live; the server shortens what is longer than granted. */
  jwtLifetimeSeconds?: number
  /** A token that acts as this session at Purser's own API. Off unless asked for. */
  accessToken?: boolean | { lifetimeSeconds?: number }
  /**
   * Secrets to come along in the first request, all of them or none: paths, or `{ path, version, optional }`. A version
   * that is left out is the live one; an `optional` one that is missing or not granted is left out. 64 at most.
   * `purser.secrets.get()` gives them, and gets others.
   */
  secrets?: readonly SecretOption[]
  /**
   * Databases, by their names at Purser, in which a role of this session's own is to be made by the first request: all of
   * what it asks for, or nothing. 16 at most. `purser.databases.get()` gives the roles, and makes others.
   */
  databases?: readonly string[]
  /** The log's verifier key or keys (`name+id+key`). Environment: PURSER_LOG_KEY, separated by commas or spaces. */
  logKey?: string | readonly string[]
  /** What happens to a credential whose receipt doesn't verify: refused (`require`, the default), a warning, nothing. */
  receipts?: 'require' | 'warn' | 'off'
  /**
   * A directory that keeps the log's newest head, key and certificate over a restart, 0600; one for each process.
   * Environment: PURSER_STATE_DIR.
   */
  stateDir?: string
  /** When to renew, as a fraction of a lifetime, 0.1 to 0.9. Unless given, about half, as the server says. */
  renewAt?: number
  /** Gives up connecting. It does not end what is connected: `close()` does. */
  signal?: AbortSignal
  /** Milliseconds for each request, from the connection to the last byte; 10,000 unless given. */
  timeoutMs?: number
  /** Called for each warning; `process.emitWarning` unless given, or where it fails. */
  onWarning?: (warning: string) => unknown
  /** Read instead of `process.env`. */
  env?: Readonly<Record<string, string | undefined>>
}

const names: Record<keyof ConnectOptions, true> = {
  addr: true,
  ca: true,
  allowPlainLoopback: true,
  audience: true,
  attestor: true,
  workload: true,
  proof: true,
  x509: true,
  jwts: true,
  jwtLifetimeSeconds: true,
  accessToken: true,
  secrets: true,
  databases: true,
  logKey: true,
  receipts: true,
  renewAt: true,
  stateDir: true,
  signal: true,
  timeoutMs: true,
  onWarning: true,
  env: true,
}

/** Names that aren't options: misspelt, most likely, and then a default would stand in silently. */
export const unknownOptions = (options: object): string[] =>
  Object.keys(options).filter((name) => !Object.hasOwn(names, name))
