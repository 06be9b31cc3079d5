/**
 * Renewal by certificate: each serial number renews once. A serial number that is presented again, later or for another
 * key, shows that two parties hold its key: the session ends, and everything issued to it is revoked.
 */
import type { KeyObject } from 'node:crypto'
import type { Renewed } from '../../attest/attest.ts'
import type { CertificateProof } from '../../attest/certificate.ts'
import type { Actor } from '../../audit/entry.ts'
import type { Recorder } from '../../audit/record.ts'
import { isAccepted } from '../../authorize/standing.ts'
import { type Refusal, refuse } from '../../errors.ts'
import { claimState, claimedBefore } from '../../store/claims.ts'
import type { Database } from '../../store/database.ts'
import type { Claim } from '../../store/effects.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { Context } from '../context.ts'
import { revoke } from '../revocations/revoke.ts'
import type { FindSession } from '../sessions/find.ts'
import { repeatMs, serialKey } from './claims.ts'

export type RenewalParts = {
  sessions: Pick<FindSession, 'byCertificate'>
  recorder: Pick<Recorder, 'change'>
  db: Pick<Database, 'knex'>
  logger: Pick<Logger, 'warn'>
  randomBytes: (size: number) => Buffer
}

export type Renewal = {
  /** The session behind the client certificate; nothing where the caller presented no certificate of Purser's. */
  proof(context: Pick<Context, 'clientCertificate' | 'time'>, snapshot: Snapshot): Promise<CertificateProof | undefined>
  /**
   * Refuses a spent serial number before anything outside Purser is touched. The append judges the claim again. A renewal
   * without a certificate has no claim.
   */
  checkUnspent(
    context: Context,
    renewed: Renewed,
    claim: Claim | undefined,
    mac: KeyObject,
    actor: Actor,
  ): Promise<void>
  /** Ends the session of a spent serial number. Returns the refusal for the caller. */
  endSpent(context: Context, renewed: Renewed, actor: Actor): Promise<Refusal>
}

/** Rolls a change back: another request has ended the session of the same certificate. */
const alreadyEnded = new Error('the session has ended')

export function createRenewal({ sessions, recorder, db, logger, randomBytes }: RenewalParts): Renewal {
  /** Once for a certificate, however many requests present it at the same time. */
  async function endSession({ requestId, time, address: ip }: Context, renewed: Renewed): Promise<void> {
    const { session, serialNumber } = renewed
    const open = { requestId, action: 'session.end' as const, time, actor: { kind: 'system' as const }, source: { ip } }
    await recorder.change(open, async (tx, snapshot) => {
      if (!isAccepted(snapshot, renewed)) throw alreadyEnded
      const selection = { session: session.id, reason: 'keyCompromise' }
      const change = await revoke(tx, snapshot, selection, { now: time, randomBytes, mayReturn: true })
      const ended = 'a certificate that was renewed before was presented again'
      return {
        ...change,
        result: undefined,
        entry: {
          ...change.entry,
          resource: { kind: 'session', id: session.id },
          change: { after: { ended, serialNumber } },
        },
      }
    })
  }

  async function endSpent(context: Context, renewed: Renewed, actor: Actor): Promise<Refusal> {
    await endSession(context, renewed).catch((error: unknown) => {
      if (error !== alreadyEnded) throw error
    })
    logger.warn('session.serial_spent', { requestId: context.requestId })
    return refuse('serial_spent', { actor })
  }

  return {
    endSpent,
    async proof({ clientCertificate, time }, snapshot) {
      const certificate = clientCertificate()
      return certificate && { renews: await sessions.byCertificate(certificate, snapshot, time) }
    },
    async checkUnspent(context, renewed, claim, mac, actor) {
      const since = new Date(context.time.getTime() - repeatMs)
      const spent = claim
        ? (await claimState(db.knex, claim, since)) === 'spent'
        : await claimedBefore(db.knex, serialKey(renewed, mac), since)
      if (spent) throw await endSpent(context, renewed, actor)
    },
  }
}
