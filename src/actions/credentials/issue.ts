/** A proof in, credentials out: attest, decide, open or continue the session, sign. */
import type { Attested, Attestors, Proof } from '../../attest/attest.ts'
import type { Hints, Release } from '../../audit/record.ts'
import { checkBlocks } from '../../authorize/blocks.ts'
import type { OwnRules } from '../../authorize/entry-rules.ts'
import type { Grant } from '../../authorize/grant.ts'
import { openSession } from '../../authorize/session.ts'
import { refuse } from '../../errors.ts'
import type { KeyOf } from '../../issue/x509.ts'
import type { ReadSecrets } from '../../secrets/read.ts'
import type { Database } from '../../store/database.ts'
import type { SessionRow } from '../../store/effects.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import type { IssueDatabases, IssuedDatabases } from '../leases/issue.ts'
import { type Accounts, checkPinned } from './accounts.ts'
import { boundToKey, claimFor, includesUnbound, seemsRepeated, withoutFirst, withoutUnbound } from './claims.ts'
import { type DecideAttested, issuanceHolds } from './decide.ts'
import { refuseOwn } from './own-names.ts'
import { namingCaller, provenActor, provenCaller, workloadActor } from './proven.ts'
import type { Renewal } from './renewal.ts'
import { type SignParts, type SignRequest, type Signed, sign } from './sign.ts'

export type CredentialRequest = SignRequest & {
  proof: Proof
  attestor?: string
  workload?: string
  databases?: string[]
}

export type IssuedCredentials = Omit<Signed, 'issued' | 'token' | 'secrets'> & {
  workload: { id: string; name: string; revision: number }
  grant: Grant
  session: Pick<SessionRow, 'id' | 'expiresAt'>
  secrets?: ReadSecrets['values']
  databases?: IssuedDatabases['values']
  /** Only what is bound to the certified key was issued, since the proof was used before. */
  repeated: boolean
}

export type IssueParts = SignParts & {
  attestors: Pick<Attestors, 'attest'>
  accounts: Accounts
  renewal: Renewal
  decideAttested: DecideAttested
  keyOf: KeyOf
  issueDatabases: IssueDatabases
  own: Pick<OwnRules, 'names' | 'audiences' | 'dnsSuffixes'>
  db: Pick<Database, 'knex'>
}

export type IssueCredentials = (
  context: Context,
  snapshot: Snapshot,
  hints: Hints,
  request: CredentialRequest,
) => Promise<Release<IssuedCredentials>>

export function createIssueCredentials(parts: IssueParts): IssueCredentials {
  const { attestors, accounts, renewal, decideAttested, keyOf, issueDatabases, keys, own, db } = parts

  async function issueTo(
    proven: Attested,
    context: Context,
    snapshot: Snapshot,
    hints: Hints,
    request: CredentialRequest,
  ): Promise<Release<IssuedCredentials>> {
    const { time: now, requestId } = context
    const proofActor = provenActor(proven)
    const mac = keys.signing(snapshot, 'mac', now).key
    // Reads the CSR, whose faults are reported after those of the caller.
    const certifiedKey = (): string | undefined => request.x509 && (keyOf(request.x509) ?? requestId)

    const attested = proven.joinToken ? boundToKey(proven, certifiedKey() ?? requestId) : proven
    const { recreated } = await accounts.check(context, snapshot, attested, proofActor)
    const decision = await decideAttested(context, snapshot, attested, request.workload, mac)
    const { entry, grant } = decision
    checkPinned(entry, recreated)
    await accounts.pinNew(context, snapshot, attested, proofActor)

    const { renews } = attested
    const sessionKey = { key: mac, epoch: snapshot.epoch }
    const session = renews?.session ?? openSession(decision, attested, sessionKey, now, hints.endedGeneration)
    checkBlocks(snapshot, session, now)
    const actor = workloadActor(attested, decision, session)

    const use = { certifiedKey: certifiedKey(), unbound: includesUnbound(request) }
    const claim = claimFor(attested, use, mac, requestId)
    const hasOutsideEffect = (request.databases ?? []).length > 0
    if (renews && (hasOutsideEffect || !claim)) await renewal.checkUnspent(context, renews, claim, mac, actor)
    const repeated =
      hints.repeated ??
      (hasOutsideEffect && claim && !renews ? await seemsRepeated(db.knex, claim, attested, now) : false)
    const released: CredentialRequest = repeated ? withoutUnbound(request) : request
    refuseOwn(released, grant, own)

    const { issued, token, secrets, ...signed } = await sign(parts, released, grant, session, {
      snapshot,
      now,
      isFresh: hints.secretsMoved ?? false,
    })
    // Last, since it creates roles outside Purser. `undo` drops them where the reply does not leave.
    const { databases: names = [] } = released
    const leased = await issueDatabases(context, snapshot, { names, decision, session, actor })
    if (leased) issued.leases = leased.record

    const issuance = { attested, snapshot, workload: request.workload, decision, session, issued }
    const { id, name, revision } = entry.row
    return {
      result: {
        workload: { id, name, revision },
        grant,
        session,
        repeated,
        ...signed,
        ...(secrets && { secrets: secrets.values }),
        ...(leased && { databases: leased.values }),
      },
      entry: { actor, issued },
      effects: {
        session,
        ...(session.facts !== undefined && { facts: session.facts }),
        ...(claim && { claim: repeated ? withoutFirst(claim) : claim }),
        ...(token && { token }),
        ...(secrets && secrets.reads.length > 0 && { reads: secrets.reads }),
        ...(leased && { leases: leased.ids }),
        ...(attested.joinToken && { joinToken: attested.joinToken.id }),
      },
      proven: provenCaller(proven),
      holds: (newer) => issuanceHolds(issuance, newer, now) && (leased?.holds(newer) ?? true),
      ...(leased && { undo: leased.undo }),
      ...(renews && { claimed: () => renewal.endSpent(context, renews, actor) }),
    }
  }

  return async (context, snapshot, hints, request) => {
    requireKeyForJoinToken(request)
    const { proof, attestor } = request
    const certificate = proof.kind === 'x509' ? await renewal.proof(context, snapshot) : undefined
    const presented = { proof, attestor, certificate, address: context.address }
    const proven = await attestors.attest(snapshot, presented, context.time)
    return namingCaller(proven, () => issueTo(proven, context, snapshot, hints, request))
  }
}

/** A join token is bound to the key that it certifies: without one, an observer of the reply could redeem it again. */
function requireKeyForJoinToken({ proof, x509 }: CredentialRequest): void {
  if (proof.kind !== 'join-token' || x509) return
  const detail = 'a join token is bound at its use to a key: send a csr, or have one made with generateKey'
  throw refuse('invalid_request', { errors: [{ pointer: '/x509', detail }] })
}
