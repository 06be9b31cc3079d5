/** `POST /api/v1/credentials`, in the order of the real server: proof, entry, grants, spent serial number, log. */
import { hash } from 'node:crypto'
import { type CredentialsRequest, readCredentialsRequest } from './credentials-request.ts'
import { createIssue } from './issue.ts'
import { type Parts, type Route, bodyOf, sessionFields } from './parts.ts'
import { hidden } from './refusal.ts'

/** What a repeated proof does not get: everything but the certificate, which is bound to the client's key. */
const noUnbound = { jwts: [], accessToken: undefined, secrets: [], databases: [] }
const hasUnbound = ({ jwts, accessToken, secrets, databases }: CredentialsRequest): boolean =>
  accessToken !== undefined || jwts.length + secrets.length + databases.length > 0

export function createCredentialsRoute(parts: Parts): Route {
  const { attestation, sessions, ledger, secrets, leases } = parts
  const issue = createIssue(parts)

  return ({ request, requestId, noteCaller }) => {
    const whole = readCredentialsRequest(bodyOf(request))
    const key = whole.x509 && hash('sha256', whole.x509.subject.spki)
    const attested = attestation.attest(whole.proof, request.as, key)
    const { entry, session, kind, renews } = attested
    const repeated = attested.repeated && hasUnbound(whole)
    const selection = repeated ? { ...whole, ...noUnbound } : whole
    noteCaller(entry.spiffeId)
    if (whole.workload !== undefined && whole.workload !== entry.name) throw hidden('no_workload')
    const { x509, jwts, accessToken } = issue(selection, attested)
    const read = secrets.read(selection.secrets, entry, session)
    const leased = leases.issue(selection.databases, entry, session)
    // A serial number that was spent before has ended its session.
    if (renews !== undefined && sessions.spend(session, renews, key) === 'spent') throw hidden('serial_spent')

    if (x509) sessions.addCertificate(session, x509.issued.serialNumber, x509.until, x509.issued.keyId)
    for (const { issued, until } of jwts) sessions.addJwt(session, issued.jti, until)
    if (accessToken) {
      sessions.addAccessToken(session, accessToken.reply.token, accessToken.issued.id, accessToken.until)
    }
    read.commit()
    leased.commit()
    const issued = {
      ...(x509 && { x509: x509.issued }),
      ...(jwts.length > 0 && { jwts: jwts.map((jwt) => jwt.issued) }),
      ...(accessToken && { accessToken: accessToken.issued }),
      ...(read.issued.length > 0 && { secrets: read.issued }),
      ...(leased.issued.length > 0 && { leases: leased.issued }),
    }
    const { id: workloadId, name: workload, revision, spiffeId } = entry
    const attestor = kind === 'join-token' ? 'join' : 'test'
    const actor = { kind: 'workload', attestor, spiffeId, workload, workloadId, revision, session: session.id }
    const logEntry = { requestId, action: 'credentials.issue', outcome: 'granted', actor, issued }
    return {
      json: {
        ...sessionFields(parts, session),
        ...(repeated && { repeated }),
        grants: {
          x509: { dnsNames: entry.dnsNames, maxLifetimeSeconds: entry.lifetimeSeconds },
          jwt: { audiences: entry.audiences ?? [], maxLifetimeSeconds: entry.jwtLifetimeSeconds },
          ...((entry.databaseNames?.length ?? 0) > 0 && { databases: entry.databaseNames }),
        },
        ...(x509 && { x509: x509.reply }),
        ...(jwts.length > 0 && { jwts: jwts.map(({ reply }) => reply) }),
        ...(accessToken && { accessToken: accessToken.reply }),
        ...(read.reply.length > 0 && { secrets: read.reply }),
        ...(leased.reply.length > 0 && { databases: leased.reply }),
        receipt: ledger.append(logEntry, whole.sinceSize),
      },
    }
  }
}
