/** The types of a log entry. Its hash covers its canonical JSON (RFC 8785); absent members are omitted, never null. */
import type { RefusalCode } from '../errors.ts'
import type { Issued } from '../store/issued.ts'
import { masked } from '../telemetry/mask.ts'

/** Every action of the log. `docs/audit-events.md` lists them with their meaning. */
export const actions = {
  'credentials.issue': 'A workload attested and was given what the entry lists',
  'credentials.self': 'A workload asked who it is',
  'session.end':
    'A session was given up by its holder, or ended because a certificate that it had renewed was presented again',
  'identity.pin': 'An account was seen for the first time, with the id that is behind its name',
  'identity.change': 'An account was recreated under its old name; older sessions of it ended',
  'bootstrap.exchange': 'The bootstrap token was exchanged for an admin API token',
  'bootstrap.create': 'A bootstrap token was made',
  'token.use': 'An API token was used for the first time, which ends the bootstrap token that made it',
  'token.revoke': 'An API token was revoked',
  'token.list': 'API tokens were listed',
  'attestor.create': 'An attestor was configured',
  'attestor.replace': 'An attestor was replaced',
  'attestor.delete': 'An attestor was removed',
  'attestor.check': 'An attestor was asked to reach its orchestrator',
  'attestor.read': 'Attestors were read',
  'workload.create': 'A workload entry was made',
  'workload.replace': 'A workload entry was replaced',
  'workload.delete': 'A workload entry was removed',
  'workload.disable': 'A workload entry was disabled',
  'workload.enable': 'A workload entry was enabled again',
  'workload.read': 'Workload entries were read',
  'workload.explain': 'A decision was explained',
  'join-token.create': 'A join token was made for one workload entry',
  'revocation.create': 'A certificate, token or session was revoked, or what a SPIFFE ID was given',
  'revocation.release': 'The block of an instance or a SPIFFE ID was released: it may attest again',
  'revocation.read': 'Blocks in force were listed',
  'token.introspect': 'A token was introspected (RFC 7662)',
  'secret.read': 'Values of secrets were handed out',
  'secret.list': 'Names of secrets were listed',
  'secret.put': 'A version of a secret was written',
  'secret.delete': 'A version of a secret was deleted, and can be brought back',
  'secret.undelete': 'Deleted versions of a secret were brought back',
  'secret.destroy': 'Versions of a secret, or the whole of it, were destroyed',
  'secret.metadata': 'What is said about a secret was changed',
  'secret.versions': 'The versions of a secret were listed, without values',
  'secret.ack': 'A consumer said that it uses a version',
  'secret.rotate':
    'A rotation of a secret began (`intended`, with its value made and kept), and its value was set and became the live one (`completed`), or an attempt of it failed',
  'secret.retire':
    'The versions before were to be ended at their target (`intended`), ended for all readers (`completed`), or an attempt to end them failed',
  'secret.rotation':
    'The rotation of a secret was looked at, its policy was set, or something was said of one that runs',
  'secret.rollback': 'A rotation back to the value of an earlier version began',
  'secret.consumers': 'The consumers of a secret were listed',
  'database.create': 'A database was configured, in which roles are made',
  'database.replace': 'A database was configured anew',
  'database.delete': 'A database was removed',
  'database.read': 'Databases were read',
  'database.check': 'A database was asked whether roles can be made in it',
  'database.rotate-admin': 'The administrative credential of a database was replaced: before, and what became of it',
  'lease.issue': 'A role is about to be made for a session; or it could not be, or was not given out',
  'lease.renew': 'A lease was extended: before, and what became of it',
  'lease.revoke': 'A lease ends: before its role is taken away, and what became of it',
  'lease.abandon': 'An operator gave up a lease whose role nobody can take away any more: it may still be there',
  'lease.orphan': 'Roles that no lease knows were found in a database: each is taken away as a lease that ends',
  'lease.list': 'Leases were listed',
  'secret.watch': 'A watch on secrets was opened',
  'key.create': 'A key was made',
  'key.retire': 'The end of a key was set',
  'key.withdraw': 'A key was withdrawn as compromised',
  'key.rewrap':
    'The keyring got a new wrapping key, under which every private key was wrapped again; `completed`: every value too',
  'root-key.rotate': 'The keyring was put under another root key; the older one opens nothing any more',
  'key.shared': 'One public key has live certificates of several workload entries',
  'key.csr': 'A certificate request for an upstream CA was printed',
  'key.import': 'A chain signed by an upstream CA was imported',
  'key.read': 'Keys were listed',
  'server.certificate': 'A certificate for this server was issued',
  'log.epoch': 'A new epoch of the log began',
  'log.failover': 'The database went over to another server, and the log goes on there',
  'log.open': 'Issuing was opened after a review',
  'log.redact': 'Entries were redacted by a retention rule',
  'audit.search': 'The log was searched',
  'audit.read': 'An entry was read',
  'audit.export': 'The log was exported',
  'request.refused': 'A request was refused that no route takes, or at a route of what anyone may read',
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
  change?: { after: unknown }
  /** Conditions, counts and names, from which `explain` derives the reason. Never a value of a secret or a token. */
  detail?: Record<string, unknown>
}

/** The part of an entry that an action adds. It names request and source when one change answers several requests. */
export type EntryPart = Partial<
  Pick<
    LogEntry,
    'outcome' | 'actor' | 'issued' | 'revoked' | 'resource' | 'change' | 'detail' | 'action' | 'requestId' | 'source'
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
