/** What `connect()` takes. */
import type { SecretOption } from './secrets.ts'

/** What the server requires of a proof that is made on demand. */
export type ProofRequest = {
  /** Audiences that the server accepts. The proof must name one of them. */
  audiences: readonly string[]
  signal: AbortSignal
}

/**
 * Where the orchestrator's token comes from: the token itself, a file that is read at each use, or a function that
 * returns a token. A join token (`purser_join_…`) is a proof too.
 */
export type ProofOption = string | { file: string } | ((request: ProofRequest) => Promise<string>)

/**
 * How the server is verified: PEM roots, SHA-256 fingerprints of a root (hex, colons allowed), or, with `'system'`, the
 * roots that come with Node.js. Those are not the operating system's.
 */
export type CaOption = { pem: string } | { sha256: string | readonly string[] } | 'system'

export type X509Option = {
  /** DNS names in the certificate. Default: all that are granted; `[]` for none. */
  dnsNames?: readonly string[]
  /** Seconds. The server shortens a lifetime that is longer than granted. */
  lifetimeSeconds?: number
  /** Has the server make the key and send it. Use it only where the local EC P-256 key does not work. */
  generateKey?: 'EC-P256' | 'RSA-2048'
}

/** Every member has an environment variable or a default, so `connect()` needs no options where the environment is set. */
export type ConnectOptions = {
  /** `https://host:port`. Environment: PURSER_ADDR. */
  addr?: string
  /** Environment: PURSER_CA_FILE, else PURSER_CA_SHA256, else the roots that come with Node.js. Never unverified. */
  ca?: CaOption
  /** Allows `http://` to 127.0.0.0/8 and ::1, for development. It has no environment variable. */
  allowPlainLoopback?: boolean
  /** The audience that the proof must name. Environment: PURSER_AUDIENCE; default: the audiences of the verified server. */
  audience?: string
  /** The attestor's name, where the proof alone is ambiguous. Environment: PURSER_ATTESTOR. */
  attestor?: string
  /** The workload entry's name, where several match. Environment: PURSER_WORKLOAD. */
  workload?: string
  /** Environment: PURSER_PROOF_FILE, PURSER_JOIN_TOKEN; default: the first source in the README's order ("The proof"). */
  proof?: ProofOption
  /** The certificate. Default: `true`. */
  x509?: boolean | X509Option
  /** Audiences whose JWTs the first request includes. `jwt()` gets others later. */
  jwts?: readonly string[]
  /** Lifetime of a JWT in seconds. The server shortens a lifetime that is longer than granted. */
  jwtLifetimeSeconds?: number
  /** A token that acts as this session at Purser's own API. Default: `false`. */
  accessToken?: boolean | { lifetimeSeconds?: number }
  /**
   * Secrets that the first request includes, all of them or none: paths, or `{ path, version, optional }`. The default
   * version is the live one; an `optional` secret that is missing or not granted is skipped. At most 64.
   * `purser.secrets.get()` returns them, and gets others.
   */
  secrets?: readonly SecretOption[]
  /**
   * Names of databases in which the first request creates a role for this session, all of them or none. At most 16.
   * `purser.databases.get()` returns the roles, and creates others.
   */
  databases?: readonly string[]
  /** The log's verifier key or keys (`name+id+key`). Environment: PURSER_LOG_KEY, separated by commas or spaces. */
  logKey?: string | readonly string[]
  /** How to treat a credential whose receipt does not verify: refuse it (`require`, the default), warn, or ignore it. */
  receipts?: 'require' | 'warn' | 'off'
  /**
   * A directory that keeps the log's newest head, the key and the certificate over a restart, mode 0600. Each process
   * needs its own. Environment: PURSER_STATE_DIR.
   */
  stateDir?: string
  /** When to renew, as a fraction of the lifetime, 0.1 to 0.9. Default: the server's advice, about half. */
  renewAt?: number
  /** Aborts connecting. It does not end a connected client; `close()` does. */
  signal?: AbortSignal
  /** Milliseconds for each request, from the connection to the last byte. Default: 10,000. */
  timeoutMs?: number
  /** Receives each warning. Default: `process.emitWarning`, which also serves where this function fails. */
  onWarning?: (warning: string) => unknown
  /** Read instead of `process.env`. */
  env?: Readonly<Record<string, string | undefined>>
}
