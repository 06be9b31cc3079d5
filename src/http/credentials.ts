/** The main job: a container's proof in, its identity out, in one request. The story in the order that it happens. */
import { createHash } from 'node:crypto'
import type { Attested, Attestors, Proof } from '../attest/attest.ts'
import type { Actor, Issued } from '../audit/entry.ts'
import type { Release } from '../audit/record.ts'
import type { Decision } from '../authorize/decide.ts'
import type { OwnRules } from '../authorize/entry-rules.ts'
import { checkBlocks } from '../authorize/blocks.ts'
import { openSession } from '../authorize/session.ts'
import { maySecret } from '../authorize/secret-grants.ts'
import { type ProvenCaller, Refusal, refuse } from '../errors.ts'
import type { AccessTokenReply, IssueAccessToken } from '../issue/access-token.ts'
import type { IssueJwt, JwtReply, JwtRequest } from '../issue/jwt-svid.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { IssueX509, KeyOf, X509Reply, X509Request } from '../issue/x509.ts'
import { trustedRoots } from '../keys/bundle.ts'
import type { Keys } from '../keys/keys.ts'
import { type ReadParts, type ReadSecrets, type SecretRequest, readSecrets } from '../secrets/read.ts'
import type { SecretPath } from '../names/secret-path.ts'
import type { Database } from '../store/database.ts'
import type { Effects, SessionRow, TokenRow } from '../store/effects.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type AccountPins, checkPinned } from '../actions/credentials/account-pins.ts'
import type { DecideAttested } from '../actions/credentials/changed-facts.ts'
import { boundToKey, claimFor, withoutFirst } from '../actions/credentials/claims.ts'
import type { IssueDatabases, IssuedDatabases } from '../actions/leases/issue.ts'
import { refuseOwn } from '../actions/credentials/own-names.ts'
import { grantsInShort } from './grants-in-short.ts'
import type { Renewal } from '../actions/credentials/renewal.ts'
import { asksUnbound, boundOnly, looksRepeated } from '../actions/credentials/repeats.ts'
import type { Issue } from './route.ts'
import { type Reply, bodyOf } from './request.ts'
import { stillHolds } from '../actions/credentials/still-holds.ts'

type Body = {
  attestor?: string
  proof: Proof
  workload?: string
  x509?: X509Request
  jwts?: JwtRequest[]
  secrets?: SecretRequest[]
  databases?: string[]
  accessToken?: { lifetimeSeconds?: number }
  receipt?: { sinceSize: number; epoch?: number }
}

export type CredentialParts = {
  attestors: Attestors
  keys: Keys
  accounts: AccountPins
  renewal: Renewal
  issueX509: IssueX509
  keyOf: KeyOf
  issueJwt: IssueJwt
  issueAccessToken: IssueAccessToken
  readSecretsBy: ReadParts
  issueDatabases: IssueDatabases
  decideAttested: DecideAttested
  own: Pick<OwnRules, 'names' | 'audiences' | 'dnsSuffixes'>
  db: Pick<Database, 'knex'>
}

type Credentials = {
  x509?: X509Reply
  jwts?: JwtReply[]
  accessToken?: AccessTokenReply
  secrets?: ReadSecrets
  record: Issued
  token?: TokenRow
}

export function createIssueCredentials(parts: CredentialParts): Issue {
  return async (request, snapshot, hints): Promise<Release<Reply>> => {
    const asked: Body = bodyOf(request, 'issueCredentials')
    const now = request.time
    refuseWithoutKey(asked)

    const { proof, attestor } = asked
    const live = proof.kind === 'x509' ? await parts.renewal.certified(request, snapshot) : undefined
    const presented = { proof, attestor, certified: live, address: request.address }
    const proven = await parts.attestors.attest(snapshot, presented, now)
    const who = provenActor(proven)
    const counted = provenCaller(proven)
    return withCaller(who, counted, async () => {
      const attested = proven.joinToken ? boundToKey(proven, keyOf(asked, parts) ?? request.requestId) : proven
      const { recreated } = await parts.accounts.recognise(request, snapshot, attested, who)
      const mac = parts.keys.signing(snapshot, 'mac', now).key
      const decision = await parts.decideAttested(request, snapshot, attested, asked.workload, mac)
      checkPinned(decision.entry, recreated)
      await parts.accounts.keep(request, snapshot, attested, who)
      const { renews } = attested
      const session =
        renews?.session ??
        openSession(decision, attested, { key: mac, epoch: snapshot.epoch }, now, hints.endedGeneration)
      checkBlocks(snapshot, session, now)
      const actor = workloadActor(attested, decision, session)
      const certified = asked.x509 && (keyOf(asked, parts) ?? request.requestId)
      const once = claimFor(attested, { certified, unbound: asksUnbound(asked) }, mac, request.requestId)
      const acts = asked.databases !== undefined && asked.databases.length > 0
      if (renews && (acts || !once)) await parts.renewal.checkUnspent(request, renews, once, mac, actor)
      const repeated =
        hints.repeated ?? (acts && once && !renews && (await looksRepeated(parts.db.knex, once, attested, now)))
      const body: Body = repeated ? boundOnly(asked) : asked
      refuseOwn(body, decision.grant, parts.own)

      const credentials = await issueAll(parts, body, decision, session, snapshot, now)
      // Last, since it acts outside: roles are made, and go again where the reply doesn't leave.
      const names = body.databases ?? []
      const wanted = { names, decision, session, actor }
      const leased = names.length > 0 ? await parts.issueDatabases(request, snapshot, wanted) : undefined
      const issued = credentials.record
      if (leased) issued.leases = leased.record
      const effects: Effects = { session }
      if (session.facts !== undefined) effects.facts = session.facts
      if (once) effects.claim = repeated ? withoutFirst(once) : once
      if (credentials.token) effects.token = credentials.token
      if (credentials.secrets && credentials.secrets.reads.length > 0) effects.reads = credentials.secrets.reads
      if (leased) effects.leases = leased.ids
      if (attested.joinToken) effects.joinToken = attested.joinToken.id
      const given: Release<Reply> = {
        result: replyOf(body, decision, session, credentials, leased, repeated === true),
        entry: { actor, issued },
        effects,
        proven: counted,
        holds: (fresh) =>
          stillHolds(fresh, snapshot, attested, asked.workload, decision, session, issued, now) &&
          (credentials.secrets?.holds(fresh) ?? true) &&
          (leased?.holds(fresh) ?? true),
      }
      if (leased) given.undo = leased.undo
      if (renews) given.claimed = () => parts.renewal.end(request, renews, actor)
      return given
    })
  }
}

/** All or nothing, and everything signed in memory: nothing leaves before its entry. */
async function issueAll(
  parts: CredentialParts,
  body: Body,
  { grant }: Decision,
  session: SessionRow,
  snapshot: Snapshot,
  now: Date,
): Promise<Credentials> {
  const sessionEnd = session.expiresAt
  const made: Credentials = { record: {} }
  if (body.x509) {
    if (!grant.x509) throw notGranted('/x509')
    const trustBundle = trustedRoots(snapshot, now)
    const ca = parts.keys.issuingCa(snapshot, now)
    const { reply, record } = parts.issueX509(
      body.x509,
      { spiffeId: grant.spiffeId, ...grant.x509 },
      { ca, trustBundle, sessionEnd, now },
    )
    made.x509 = reply
    made.record.x509 = record
  }
  const { jwt } = grant
  if (body.jwts && body.jwts.length > 0) {
    if (!jwt) throw notGranted('/jwts')
    const key = (alg: 'ES256' | 'RS256') =>
      parts.keys.signing(snapshot, alg === 'ES256' ? 'jwt-es256' : 'jwt-rs256', now)
    const signing = { key, issuer: snapshot.issuer, sessionEnd, now }
    const granted = { spiffeId: grant.spiffeId, ...jwt }
    const issued = await Promise.all(body.jwts.map((jwt, n) => parts.issueJwt(jwt, `/jwts/${n}`, granted, signing)))
    made.jwts = issued.map((one) => one.reply)
    made.record.jwts = issued.map((one) => one.record)
  }
  if (body.accessToken) {
    const { reply, record, row } = parts.issueAccessToken(body.accessToken, grant.accessToken, session, now)
    made.accessToken = reply
    made.record.accessToken = record
    made.token = row
  }
  if (body.secrets && body.secrets.length > 0) {
    const may = (path: SecretPath): boolean => maySecret(grant.secrets, 'read', path)
    made.secrets = await readSecrets(parts.readSecretsBy, body.secrets, { holder: session.id, may }, snapshot, now)
    made.record.secrets = made.secrets.record
  }
  return made
}

const notGranted = (pointer: string): Refusal =>
  refuse('not_granted', { errors: [{ pointer, detail: 'the workload entry grants none' }] })

/** A join token is worth what its use is bound to: without a key, whoever reads the reply could use it too. */
function refuseWithoutKey({ proof, x509 }: Body): void {
  if (proof.kind !== 'join-token' || x509) return
  const detail = 'a join token is bound at its use to a key: send a csr, or have one made with generateKey'
  throw refuse('invalid_request', { errors: [{ pointer: '/x509', detail }] })
}

const keyOf = ({ x509 }: Body, parts: Pick<CredentialParts, 'keyOf'>): string | undefined => x509 && parts.keyOf(x509)

const provenActor = ({ attestor, selectors }: Attested): Actor => ({
  kind: 'workload',
  attestor: attestor.name,
  attestorId: attestor.id,
  selectors,
})

const workloadActor = (attested: Attested, { entry, grant }: Decision, session: SessionRow): Actor => ({
  spiffeId: grant.spiffeId,
  workload: entry.row.name,
  workloadId: entry.row.id,
  revision: entry.row.revision,
  session: session.id,
  ...provenActor(attested),
})

const provenCaller = ({ attestor, selectors, once }: Attested): ProvenCaller => ({
  attestor: attestor.name,
  identity: createHash('sha256')
    .update(JSON.stringify([attestor.id, selectors]))
    .digest('base64'),
  ...(once && { singleUseProof: JSON.stringify([attestor.id, once.id]) }),
})

/** A refusal after the proof was verified names its caller in the log, and is counted by it. */
async function withCaller<T>(actor: Actor, proven: ProvenCaller, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Refusal) throw refuse(error.code, { ...error.info, actor, proven })
    throw error
  }
}

function replyOf(
  body: Body,
  { entry, grant }: Decision,
  session: SessionRow,
  made: Credentials,
  leased: IssuedDatabases | undefined,
  repeated: boolean,
): Reply {
  const { x509, jwts, accessToken, secrets } = made
  const value = {
    spiffeId: grant.spiffeId,
    workload: { id: entry.row.id, name: entry.row.name, revision: entry.row.revision },
    session: { id: session.id, expiresAt: rfc3339(session.expiresAt) },
    grants: grantsInShort(grant),
    ...(repeated && { repeated }),
    ...(x509 && { x509 }),
    ...(jwts && { jwts }),
    ...(secrets && { secrets: secrets.values }),
    ...(leased && { databases: leased.values }),
    ...(accessToken && { accessToken }),
  }
  const since = body.receipt
  return {
    body: { json: value },
    receipt: { ...(since && { since }), put: (receipt) => Object.assign({}, value, { receipt }) },
  }
}
