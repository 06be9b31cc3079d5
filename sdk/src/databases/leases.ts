/** Renews and ends the leases of this session. */
import { requestJson } from '../connection/request-json.ts'
import type { Transport } from '../connection/transport.ts'
import { PurserError } from '../errors.ts'
import type { Authentication } from '../identity/authentication.ts'
import { text, time } from '../json/fields.ts'
import { serverTime } from '../time/lifetime.ts'
import type { DatabaseRole } from '../types/databases.ts'
import type { Extension } from './role-state.ts'

export type Leases = ReturnType<typeof createLeases>

type Parts = { transport: Transport; authentication: Authentication; now: () => number; elapsed: () => number }

/** The session is over, the lease belongs to another session, or it has ended: another role is needed. */
const endCodes = new Set(['lease_over', 'not_found', 'unauthenticated'])
const isGone = (error: unknown): boolean =>
  error instanceof PurserError && error.status !== undefined && endCodes.has(error.code)

export function createLeases({ transport, authentication, now, elapsed }: Parts) {
  async function call(role: DatabaseRole, verb: 'renew' | 'revoke', purpose: string, signal: AbortSignal) {
    const credential = authentication()
    if (!credential) return undefined
    const sentAt = elapsed()
    const request = { method: 'POST', path: `/api/v1/leases/${role.lease}:${verb}`, maxBytes: 64 * 1024 } as const
    try {
      const { json, answer } = await requestJson(transport, { ...request, ...credential }, purpose, signal)
      return { json, time: serverTime(answer.headers.date, now(), elapsed() - sentAt) }
    } catch (error) {
      if (isGone(error)) return undefined
      throw error
    } finally {
      transport.rest()
    }
  }

  return {
    /**
     * @returns undefined where the lease has ended or belongs to another session, or this client has no credential
     * @throws PurserError
     */
    async renew(role: DatabaseRole, signal: AbortSignal): Promise<Extension | undefined> {
      const reply = await call(role, 'renew', 'to renew a role in a database', signal)
      if (!reply) return undefined
      const { json } = reply
      if (text(json.id, 'id') !== role.lease || text(json.username, 'username') !== role.username)
        throw new PurserError('bad_reply', 'the server renewed another lease than the requested one')
      const expiresAt = time(json.expiresAt, 'expiresAt')
      return { expiresAt, maxExpiresAt: time(json.maxExpiresAt, 'maxExpiresAt'), serverTime: reply.time }
    },
    /** A lease that has already ended is no failure. @throws PurserError */
    async revoke(role: DatabaseRole, signal: AbortSignal): Promise<void> {
      await call(role, 'revoke', 'to end a lease', signal)
    },
  }
}
