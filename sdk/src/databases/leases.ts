/** What a session says of its leases: that one is to go on, and that one is not needed any more. */
import { ask } from '../connection/ask.ts'
import { PurserError } from '../errors.ts'
import { text, time } from '../json/fields.ts'
import type { Credential } from '../identity/authentication.ts'
import { serverTime } from '../time/lifetime.ts'
import type { Transport } from '../connection/transport.ts'
import type { DatabaseRole } from '../types/databases.ts'

type Extended = {
  expiresAt: Date
  /** No renewal makes it longer than that. */
  maxExpiresAt: Date
  /** The server's clock as this was received. */
  serverTime: number
}

export type Leases = {
  /**
   * @returns nothing where there is nothing left to renew, or nobody to renew it as: it ended, or is another session's
   * @throws PurserError
   */
  renew(role: DatabaseRole, signal: AbortSignal): Promise<Extended | undefined>
  /** What ended already is no failure. @throws PurserError */
  revoke(role: DatabaseRole, signal: AbortSignal): Promise<void>
}

type Parts = { transport: Transport; credential: Credential; now: () => number; elapsed: () => number }

/** A session that is over, whose lease this is not, or a lease that ended: all of them call for another role. */
const gone = new Set(['lease_over', 'not_found', 'unauthenticated'])
const isGone = (error: unknown): boolean =>
  error instanceof PurserError && error.status !== undefined && gone.has(error.code)

export function createLeases({ transport, credential, now, elapsed }: Parts): Leases {
  async function call(role: DatabaseRole, verb: 'renew' | 'revoke', what: string, signal: AbortSignal) {
    const shown = credential()
    if (!shown) return undefined
    const sentAt = elapsed()
    const request = { method: 'POST', path: `/api/v1/leases/${role.lease}:${verb}`, maxBytes: 64 * 1024 } as const
    try {
      const { json, answer } = await ask(transport, { ...request, ...shown }, what, signal)
      return { json, time: serverTime(answer.headers.date, now(), elapsed() - sentAt) }
    } catch (error) {
      if (isGone(error)) return undefined
      throw error
    } finally {
      transport.rest()
    }
  }

  return {
    async renew(role, signal) {
      const answered = await call(role, 'renew', 'to renew a role in a database', signal)
      if (!answered) return undefined
      const { json } = answered
      if (text(json.id, 'id') !== role.lease || text(json.username, 'username') !== role.username)
        throw new PurserError('bad_reply', 'the server renewed another lease than the one that it was asked to')
      const expiresAt = time(json.expiresAt, 'expiresAt')
      return { expiresAt, maxExpiresAt: time(json.maxExpiresAt, 'maxExpiresAt'), serverTime: answered.time }
    },
    async revoke(role, signal) {
      await call(role, 'revoke', 'to end a lease', signal)
    },
  }
}
