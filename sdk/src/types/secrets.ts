/** `purser.secrets`. */
import type { PurserError } from '../errors.ts'

/** A secret that `connect()` includes. The default version is the live one. */
export type SecretOption = string | { path: string; version?: number; optional?: boolean }

/**
 * One version of a secret. `console.log`, `util.inspect`, `JSON.stringify` and spreading leave `data` out: read it where
 * you use it.
 */
export type Secret = {
  readonly path: string
  readonly version: number
  /** The JSON object as it was written; for databases `{ username, password }`. */
  readonly data: Readonly<Record<string, unknown>>
  readonly createdAt: Date
  /** For logs: path and version. */
  toJSON(): { path: string; version: number }
}

export type SecretWatchEvents = {
  /** A version that this client has not delivered before. The next change waits until the listener's promise settles. */
  change: Secret
  /** The secret was destroyed as a whole. Copies that were delivered before stay usable. */
  removed: { path: string }
  /** Why the secret can't be watched or read now. The watch retries by itself, and emits this once until it recovers. */
  error: PurserError
}
export type SecretWatchEvent = keyof SecretWatchEvents

export type SecretWatch = {
  readonly paths: readonly string[]
  /** @returns a function that removes the listener. A listener that throws or rejects causes a warning and affects no other. */
  on<N extends SecretWatchEvent>(name: N, listener: (event: SecretWatchEvents[N]) => unknown): () => void
  close(): void
}

export type Secrets = {
  /**
   * A secret that this workload is granted. It comes from memory where `connect()`, `get()` or a watch received it in this
   * session; without a watch, that copy is not updated. Otherwise one request gets it, which the log records and whose
   * receipt is verified. Concurrent calls share the request.
   * @param options.version an older version, as long as it is readable; default: the live one
   * @param options.fresh asks Purser even if the secret is in memory
   * @param options.signal stops waiting
   * @throws PurserError `not_granted`, `not_found`, `bad_options`, `not_requested` where this client has no credential to
   *   authenticate with, or the reason why Purser is unreachable
   */
  get(path: string, options?: { version?: number; fresh?: boolean; signal?: AbortSignal }): Promise<Secret>
  /**
   * Keeps secrets current. Purser announces a new version within a second; the client reads it and calls the listener.
   * Once the listener's promise is fulfilled, the client acknowledges the version, which a rotation may wait for. Versions
   * that `connect()` or `get()` returned are not delivered again. The watch survives broken connections, stopped replicas
   * and renewed credentials; a change during an interruption is delivered afterwards, as the state of that moment. A watch
   * does not keep the process alive.
   * @param options.signal ends the watch, as `close()` does
   * @param options.acknowledge `false` if the program acknowledges with `ack()` itself
   * @throws PurserError `bad_options`
   */
  watch(
    paths: string | readonly string[],
    listener?: (secret: Secret) => unknown,
    options?: { signal?: AbortSignal; acknowledge?: boolean },
  ): SecretWatch
  /**
   * Acknowledges that this session now uses a version, where no listener does so by returning.
   * @throws PurserError
   */
  ack(path: string, version: number, options?: { signal?: AbortSignal }): Promise<void>
}
