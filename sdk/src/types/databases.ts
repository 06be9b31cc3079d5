/** `purser.databases`. */
import type { PurserError } from '../errors.ts'

/**
 * A role in a database that belongs to this session. `console.log`, `util.inspect`, `JSON.stringify` and spreading leave
 * `password` out: read it where you use it.
 */
export type DatabaseRole = {
  /** The database, by its name at Purser: `orders`. */
  readonly name: string
  /** `ls_…`, as in the log and in `purser lease list`. */
  readonly lease: string
  readonly username: string
  readonly password: string
  /** As known now: a renewal returns another object with the same user name and a later end. */
  readonly expiresAt: Date
  /** For logs: everything but the password. */
  toJSON(): { name: string; lease: string; username: string; expiresAt: Date }
}

export type DatabaseWatchEvents = {
  /** Another role, with its own user name. The next change waits until the listener's promise settles. */
  change: DatabaseRole
  /** The same role with a later end: user name and password stay. */
  renewed: DatabaseRole
  /** Why the role can't be renewed or replaced now. The watch retries by itself, and emits this once until it recovers. */
  error: PurserError
}
export type DatabaseWatchEvent = keyof DatabaseWatchEvents

export type DatabaseWatch = {
  /** The database's name. */
  readonly name: string
  /** @returns a function that removes the listener. A listener that throws or rejects causes a warning and affects no other. */
  on<N extends DatabaseWatchEvent>(name: N, listener: (event: DatabaseWatchEvents[N]) => unknown): () => void
  close(): void
}

export type Databases = {
  /**
   * This session's role in a database that its workload is granted: the current role until its end, else a new one, in a
   * request that the log records and whose receipt is verified. Concurrent calls share the request.
   *
   * The client renews the role about half of its lifetime in. Where renewal is no longer possible (the database's maximum
   * lifetime, a lease that was ended, another session), it requests another role before the end; a program that keeps
   * connections should watch for it. While Purser is away, `get()` returns the current role until its end.
   * @param options.fresh asks Purser whether the current role is still valid, for example after a failed login: renews it,
   *   or returns another one
   * @param options.signal stops waiting
   * @throws PurserError `not_granted`, `not_found` and other refusals; `expired` where the role has expired and could not
   *   be replaced, with the reason as its cause; `bad_options`, `not_offered`, or the reason why Purser is unreachable
   */
  get(name: string, options?: { fresh?: boolean; signal?: AbortSignal }): Promise<DatabaseRole>
  /**
   * Delivers each new role, which has its own user name, while the previous one is still valid where the server allows:
   * long enough for a pool to move without an error. The client ends the previous lease, and with it the connections,
   * once every listener of every watch of this database has fulfilled its promise, and never before: resolve when your
   * program has stopped using the old role. If a listener fails, the previous role lives until its own end. A role that
   * `get()` returned is not delivered again; a role that no caller has yet received is delivered at once; if there is no
   * role, the watch requests one. A watch does not keep the process alive.
   * @param options.signal ends the watch, as `close()` does
   * @param options.giveUp `false` if a fulfilled promise does not mean that the previous role is unused: it then lives
   *   until its own end
   * @throws PurserError `bad_options`
   */
  watch(
    name: string,
    listener?: (role: DatabaseRole) => unknown,
    options?: { signal?: AbortSignal; giveUp?: boolean },
  ): DatabaseWatch
}
