/** The types of a log entry. Its hash covers its canonical JSON (RFC 8785); absent members are omitted, never null. */
import type { RefusalCode } from '../errors.ts'
import type { Issued } from '../store/issued.ts'
import type { Role } from '../store/rows.ts'
import { masked } from '../telemetry/mask.ts'

/** Every action of the log. `docs/audit-events.md` lists them with their meaning. */
export const actions = {
  'credentials.issue': 'A workload attested, and Purser issued what the entry lists',
  'credentials.self': 'A workload read its own identity',
  'session.end':
    'A workload ended its session, or it ended because a certificate that it had renewed was presented again',
  'identity.pin': 'An account attested for the first time; from now on its name is bound to its id',
  'identity.change': 'An account was recreated under its old name; older sessions of it ended',
  'bootstrap.exchange': 'The bootstrap token was exchanged for an admin API token',
  'bootstrap.create': 'A bootstrap token was created',
  'token.use': 'An API token was used for the first time, which ends the bootstrap token that it was exchanged for',
  'token.revoke': 'An API token was revoked',
  'token.create': 'An API token was created for an operator',
  'token.replace': 'An API token was revoked, and another with the same rights was created',
  'token.list': 'API tokens were listed',
  'operator.create': 'An operator was created',
  'operator.replace':
    'An operator got another role, or the exchange of a bootstrap token restored the operator `admin`',
  'operator.delete': 'An operator was removed, and its API tokens were revoked',
  'operator.disable': 'An operator was disabled: its API tokens are refused',
  'operator.enable': 'An operator was enabled again, and so were its API tokens',
  'operator.read': 'Operators were read',
  'operator.login':
    'An operator logged in with a password, a passkey or at an OpenID provider, which created a session; or an attempt was refused',
  'operator.logout': 'An operator ended its session, or the session of its browser was idle (`detail.idleSeconds`)',
  'operator.password': 'The password of an operator was set, which ended its sessions',
  'operator.second-factor':
    'A second factor or passkey of an operator was enrolled, confirmed or removed, as `detail.step` says',
  'operator.recover': 'On the server’s host, an operator got a new password, which ended its sessions',
  'attestor.create': 'An attestor was configured',
  'attestor.replace': 'An attestor was replaced',
  'attestor.delete': 'An attestor was removed',
  'attestor.check': 'An attestor was tested: its orchestrator was called',
  'attestor.read': 'Attestors were read',
  'workload.create': 'A workload entry was created',
  'workload.replace': 'A workload entry was replaced',
  'workload.delete': 'A workload entry was removed',
  'workload.disable': 'A workload entry was disabled',
  'workload.enable': 'A workload entry was enabled again',
  'workload.read': 'Workload entries were read',
  'workload.explain': 'A decision was explained',
  'join-token.create': 'A join token was created for a workload entry',
  'revocation.create': 'A certificate, a token, a session or everything issued to a SPIFFE ID was revoked',
  'revocation.release': 'The block of an instance or a SPIFFE ID was released: it may attest again',
  'revocation.read': 'Blocks in force were listed',
  'containment.create':
    'A caller was blocked, or an API token revoked, as the first step of a containment; with `dryRun`, nothing was changed',
  'containment.revoke': 'A containment revoked credentials and ended sessions that it found in the log',
  'containment.complete': 'A containment has nothing left to do but what needs a person or time',
  'containment.release': 'The block of a containment was released: the caller may attest again',
  'containment.read': 'Containments were read',
  'approval.request': 'An operator requested the approval of a request that needs a second operator',
  'approval.approve': 'An operator approved a request of another one, which may now be sent once',
  'approval.deny': 'An operator refused to approve a request',
  'approval.withdraw': 'An operator withdrew its own request for an approval',
  'approval.read': 'Approvals were read',
  'token.introspect': 'A token was introspected (RFC 7662)',
  'secret.read': 'Values of secrets were read',
  'secret.list': 'Names of secrets were listed',
  'secret.put': 'A version of a secret was written',
  'secret.delete': 'A version of a secret was deleted, and can be brought back',
  'secret.undelete': 'Deleted versions of a secret were brought back',
  'secret.destroy': 'Versions of a secret, or the whole of it, were destroyed',
  'secret.metadata': 'The metadata of a secret was changed',
  'secret.versions': 'The versions of a secret were listed, without values',
  'secret.inspect': 'The metadata of a secret, its rotation policy or open rotations were read',
  'secret.ack': 'A consumer acknowledged that it uses a version',
  'secret.rotate':
    'A rotation began and its value was stored (`intended`); its value was set at the target and is live (`completed`); or an attempt failed',
  'secret.retire':
    'A rotation is about to retire the older versions (`intended`); they are retired (`completed`); or an attempt failed',
  'secret.rotation':
    'The rotation policy of a secret was set or removed, or a running rotation was changed, such as its deadline',
  'secret.rollback': 'A rotation back to the value of an earlier version began',
  'secret.consumers': 'The consumers of a secret were listed',
  'database.create': 'A database was configured',
  'database.replace': 'The definition of a database was replaced',
  'database.delete': 'A database was removed',
  'database.read': 'Databases were read',
  'database.check': 'A database was tested: whether roles can be created in it',
  'database.rotate-admin':
    'The password of a database’s administrator is about to be replaced (`intended`), and the result',
  'lease.issue':
    'A role is about to be created for a session (`intended`); or it could not be created, or was dropped again unused (`failed`)',
  'lease.renew': 'A lease is about to be extended (`intended`), and the result',
  'lease.revoke': 'The role of a lease is about to be dropped (`intended`), and the result',
  'lease.abandon': 'An operator gave up a lease whose role cannot be dropped: the role may still exist',
  'lease.orphan': 'Roles without a lease were found in a database; each becomes a lease that is being revoked',
  'lease.list': 'Leases were listed',
  'secret.watch': 'A watch on secrets was opened',
  'key.create': 'A key was created',
  'key.retire': 'The end of a key was set',
  'key.withdraw': 'A key was withdrawn as compromised',
  'key.rewrap':
    'The keyring got a new wrapping key, under which every private key was wrapped again; `completed`: every value too',
  'root-key.rotate': 'The keyring was encrypted with another root key; the older one decrypts nothing any more',
  'key.shared': 'One public key has live certificates of several workload entries',
  'key.csr': 'A certificate request for an upstream CA was created',
  'key.import': 'A chain signed by an upstream CA was imported',
  'key.read': 'Keys were listed',
  'server.certificate': 'A certificate for this server was issued',
  'log.epoch': 'A new epoch of the log began',
  'log.failover': 'The log continues on another database server, after a fail-over',
  'log.open': 'Issuing was opened after a review',
  'log.redact': 'The text of entries was redacted by a retention rule',
  'audit.search': 'The log was searched',
  'audit.read': 'An entry was read',
  'audit.export': 'The log was exported',
  'request.refused': 'A request was refused that matches no route, or on a public route',
  'request.summary': 'Further refusals of one kind, counted instead of recorded one by one',
} as const

export type Action = keyof typeof actions
type Outcome = 'granted' | 'refused' | 'failed' | 'intended' | 'completed'

/** Facts that an attestor verified. A claim with an array has several values. */
export type SelectorRecord = Readonly<Record<string, string | string[]>>

export type Actor = {
  kind: 'workload' | 'operator' | 'bootstrap' | 'system' | 'anonymous'
  spiffeId?: string
  workload?: string
  workloadId?: string
  revision?: number
  attestor?: string
  attestorId?: string
  session?: string
  selectors?: SelectorRecord
  operator?: string
  /** The workload acted as an operator of this role. */
  operatorRole?: Role
  tokenId?: string
  note?: string
}

/** The labels of issued credentials in metrics; none for what no workload is issued. */
const labels: Readonly<Record<keyof Issued, string | undefined>> = {
  x509: 'x509',
  jwts: 'jwt',
  accessToken: 'accessToken',
  apiToken: undefined,
  secrets: 'secret',
  leases: 'lease',
}
const labelOf: Readonly<Record<string, string | undefined>> = labels
export const issuedLabels = Object.values(labels).filter((label) => label !== undefined)

export function countIssued(issued: Issued, count: (label: string, times: number) => void): void {
  for (const [member, part] of Object.entries(issued)) {
    const label = labelOf[member]
    if (label !== undefined) count(label, Array.isArray(part) ? part.length : 1)
  }
}

/** The credentials that a revocation ended, by the names that verifiers use. */
export type Revoked = {
  serialNumbers?: string[]
  jtis?: string[]
  sessions?: string[]
  accessTokens?: string[]
  apiTokens?: string[]
  leases?: string[]
}

export type LogEntry = {
  v: 1
  time: string
  requestId: string
  action: Action
  outcome: Outcome
  reason?: RefusalCode
  actor: Actor
  source?: { ip?: string; userAgent?: string }
  issued?: Issued
  revoked?: Revoked
  resource?: { kind: string; id: string; name?: string; revision?: number }
  change?: { before?: unknown; after: unknown }
  /** The approval that the action needed, and the operator who gave it. */
  approval?: { id: string; approver: string }
  /** Conditions, counts and names, from which `explain` derives the reason. Never a value of a secret or a token. */
  detail?: Record<string, unknown>
}

/** The part of an entry that an action adds. It names request and source when one change answers several requests. */
export type EntryPart = Partial<
  Pick<
    LogEntry,
    | 'outcome'
    | 'actor'
    | 'issued'
    | 'revoked'
    | 'resource'
    | 'change'
    | 'approval'
    | 'detail'
    | 'action'
    | 'requestId'
    | 'source'
  >
>

const maxBytes = 256

/**
 * Cuts and marks a string from a request at 256 bytes, so that headers cannot fill the log. Masks what looks like a token,
 * since the log outlives tokens and has more readers.
 */
export function cut(text: string): string {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length <= maxBytes) return masked(text.toWellFormed())
  const start = bytes.subarray(0, maxBytes).toString('utf8').toWellFormed()
  return `${masked(start.replace(/\uFFFD+$/, ''))}…[cut]`
}
