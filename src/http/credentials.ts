/** `POST /api/v1/credentials`. */
import type { Actions } from '../actions/actions.ts'
import type { CredentialRequest, IssuedCredentials } from '../actions/credentials/issue.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { showGrant } from './grant-view.ts'
import { rendered } from './rendered.ts'
import { bodyOf } from './request.ts'
import type { Issue } from './route-kinds.ts'

export function createCredentialRoute({ issue }: Actions['credentials']): Issue {
  return async (request, snapshot, hints) => {
    const { receipt: since, ...body } = bodyOf(request, 'issueCredentials')
    const credentialRequest: CredentialRequest = body
    return rendered(await issue(request, snapshot, hints, credentialRequest), (credentials) => {
      const view = showCredentials(credentials)
      return {
        body: { json: view },
        receipt: { ...(since && { since }), put: (receipt) => Object.assign({}, view, { receipt }) },
      }
    })
  }
}

function showCredentials(credentials: IssuedCredentials) {
  const { workload, grant, session, repeated, x509, jwts, secrets, databases, accessToken } = credentials
  return {
    spiffeId: grant.spiffeId,
    workload,
    session: { id: session.id, expiresAt: rfc3339(session.expiresAt) },
    grants: showGrant(grant),
    ...(repeated && { repeated }),
    ...(x509 && { x509 }),
    ...(jwts && { jwts }),
    ...(secrets && { secrets }),
    ...(databases && { databases }),
    ...(accessToken && { accessToken }),
  }
}
