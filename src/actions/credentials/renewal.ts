/**
 * Renewal by certificate (DESIGN.md, Attestation): each serial number renews once. One that is presented again, later or
 * for another key, shows that two hold the key: the session ends with everything that it was given.
 */
import type { KeyObject } from 'node:crypto'
import type { Renewed } from '../../attest/attest.ts'
import type { Certified } from '../../attest/certificate.ts'
import type { Actor } from '../../audit/entry.ts'
import type { Recorder } from '../../audit/record.ts'
import { type Refusal, refuse } from '../../errors.ts'
import { claimState, claimedBefore } from '../../store/claims.ts'
import type { Database } from '../../store/database.ts'
import type { Claim } from '../../store/effects.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Logger } from '../../telemetry/log.ts'
import { repeatMs, serialKey } from './claims.ts'
import type { FindSession } from '../sessions/find.ts'
import type { Context } from '../context.ts'
import { revoke } from '../revocations/revoke.ts'

export type RenewalParts = {
  sessions: Pick<FindSession, 'byCertificate'>
  recorder: Pick<Recorder, 'change'>
  db: Pick<Database, 'knex'>
  log: Pick<Logger, 'warn'>
  randomBytes: (size: number) => Buffer
}

export type Renewal = {
  /** What a proof of kind `x509` rests on; nothing where no live certificate of ours was presented. */
  certified(request: Pick<Context, 'clientCertificate' | 'time'>, snapshot: Snapshot): Promise<Certified | undefined>
  /**
   * Refuses a serial number that was spent, before anything outside is touched. The append judges the claim for good; what
   * gets no new certificate has none.
   */
  checkUnspent(
    request: Context,
    renewed: Renewed,
    claim: Claim | undefined,
    mac: KeyObject,
    actor: Actor,
  ): Promise<void>
  /** Ends the session of a serial number that was spent, and answers with the refusal of who presented it. */
  end(request: Context, renewed: Renewed, actor: Actor): Promise<Refusal>
}

export function createRenewal(parts: RenewalParts): Renewal {
  const { sessions, recorder, db, log, randomBytes } = parts

  async function end(request: Context, { session, serialNumber }: Renewed, actor: Actor): Promise<Refusal> {
    const { requestId, time, address: ip } = request
    const open = { requestId, action: 'session.end' as const, time, actor: { kind: 'system' as const }, source: { ip } }
    await recorder.change(open, async (tx, snapshot) => {
      const selection = { session: session.id, reason: 'keyCompromise' }
      const { entry, more, changed } = await revoke(tx, snapshot, selection, {
        now: time,
        randomBytes,
        mayReturn: true,
      })
      const change = { after: { ended: 'a certificate that was renewed before was presented again', serialNumber } }
      const resource = { kind: 'session', id: session.id }
      return {
        result: undefined,
        entry: { ...entry, resource, change },
        ...(more && { more }),
        ...(changed && { changed }),
      }
    })
    log.warn('session.serial_spent', { requestId })
    return refuse('serial_spent', { actor })
  }

  return {
    end,
    async certified({ clientCertificate, time }, snapshot) {
      const presented = clientCertificate()
      return presented && { renews: await sessions.byCertificate(presented, snapshot, time) }
    },
    async checkUnspent(request, renewed, claim, mac, actor) {
      const before = new Date(request.time.getTime() - repeatMs)
      const spent = claim
        ? (await claimState(db.knex, claim, before)) === 'spent'
        : await claimedBefore(db.knex, serialKey(renewed, mac), before)
      if (spent) throw await end(request, renewed, actor)
    },
  }
}
