/** `POST /api/v1/credentials`, in the order of the real one: proof, entry, what is asked for, spent serials, the log. */
import { hash } from 'node:crypto'
import { asksUnbound, boundOnly, readAsked } from './asked.ts'
import { createIssue } from './issue.ts'
import { type Parts, type Route, bodyOf, entryOf, sessionFields } from './parts.ts'
import { hidden } from './refusal.ts'

export function createCredentialsRoute(parts: Parts): Route {
  const { attests, sessions, ledger, secrets, leases } = parts
  const issueAll = createIssue(parts)

  return ({ request, requestId, noteWho }) => {
    const all = readAsked(bodyOf(request))
    const key = all.x509 && hash('sha256', all.x509.subject.spki)
    const attested = attests.attest(all.proof, request.as, key)
    const { entry, session, kind, renews } = attested
    const repeated = attested.repeated && asksUnbound(all)
    const asked = repeated ? boundOnly(all) : all
    noteWho(entry.spiffeId)
    if (asked.workload !== undefined && asked.workload !== entry.name) throw hidden('no_workload')
    const { x509, jwts, accessToken } = issueAll(asked, attested)
    const read = secrets.read(asked.secrets, entry, session)
    const leased = leases.issue(asked.databases, entry, session)
    // Where it was spent before, the session is over now.
    if (renews !== undefined && sessions.spend(session, renews, key) === 'spent') throw hidden('serial_spent')

    if (x509) sessions.gaveCertificate(session, x509.record.serialNumber, x509.until, x509.record.keyId)
    for (const { record, until } of jwts) sessions.gaveJwt(session, record.jti, until)
    if (accessToken) {
      sessions.gaveAccessToken(session, accessToken.reply.token, accessToken.record.id, accessToken.until)
    }
    read.gave()
    leased.gave()
    const issued = {
      ...(x509 && { x509: x509.record }),
      ...(jwts.length > 0 && { jwts: jwts.map(({ record }) => record) }),
      ...(accessToken && { accessToken: accessToken.record }),
      ...(read.record.length > 0 && { secrets: read.record }),
      ...(leased.record.length > 0 && { leases: leased.record }),
    }
    const { id: workloadId, name: workload, revision, spiffeId } = entry
    const attestor = kind === 'join-token' ? 'join' : 'test'
    const actor = { kind: 'workload', attestor, spiffeId, workload, workloadId, revision, session: session.id }
    const logged = entryOf(parts, requestId, 'credentials.issue', { outcome: 'granted', actor, issued })
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
        receipt: ledger.append(logged, asked.sinceSize),
      },
    }
  }
}
