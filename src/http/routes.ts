/** Every route of the native API, one line each: method, path, permission, limit, audit action, handler. */
import { createIssueCredentials } from './credentials.ts'
import { type AttestorRouteParts, createAttestorRoutes } from './attestors.ts'
import { type BootstrapParts, createBootstrap } from './bootstrap.ts'
import { type OperationsParts, createOperationsRoutes } from './operations.ts'
import type { CredentialParts } from './credentials.ts'
import { type PublicParts, createPublicRoutes } from './public.ts'
import { type Route, change, issue, read } from './route.ts'
import { createSelfRoutes } from './self.ts'
import { type WorkloadRouteParts, createWorkloadRoutes } from './workloads.ts'

export type RouteParts = CredentialParts &
  BootstrapParts &
  PublicParts &
  OperationsParts &
  AttestorRouteParts &
  WorkloadRouteParts

export function createRoutes(parts: RouteParts): Route[] {
  const anyone = createPublicRoutes(parts)
  const operations = createOperationsRoutes(parts)
  const self = createSelfRoutes()
  const attestors = createAttestorRoutes(parts)
  const workloads = createWorkloadRoutes(parts)
  return [
    issue('POST', '/api/v1/credentials', 'none', 'attest', 'credentials.issue', createIssueCredentials(parts)),
    read('GET', '/api/v1/credentials/self', 'self', 'api', 'credentials.self', self.who),
    change('DELETE', '/api/v1/credentials/self', 'self', 'api', 'session.end', self.end),

    change('POST', '/api/v1/bootstrap', 'bootstrap', 'api', 'bootstrap.exchange', createBootstrap(parts)),

    change('POST', '/api/v1/attestors', 'attestors.write', 'api', 'attestor.create', attestors.create),

    change('POST', '/api/v1/workloads', 'workloads.write', 'api', 'workload.create', workloads.create),

    read('GET', '/.well-known/openid-configuration', 'none', 'public', 'none', anyone.openidConfiguration),
    read('GET', '/keys', 'none', 'public', 'none', anyone.jwks),
    read('GET', '/bundle', 'none', 'public', 'none', anyone.bundle),
    read('GET', '/ca.pem', 'none', 'public', 'none', anyone.caPem),
    read('GET', '/log/keys', 'none', 'public', 'none', anyone.getLogKeys),
    read('GET', '/log/{epoch}/checkpoint', 'none', 'public', 'none', anyone.checkpoint),
    read('GET', '/log/{epoch}/tile/{tilePath}', 'none', 'public', 'none', anyone.tile),
    read('GET', '/api/v1/server', 'none', 'public', 'none', anyone.server),
    read('GET', '/healthz', 'none', 'none', 'none', operations.health),
    read('GET', '/readyz', 'none', 'none', 'none', operations.ready),
    read('GET', '/metrics', 'metrics.read', 'api', 'none', operations.metrics),
    read('GET', '/openapi.yaml', 'none', 'public', 'none', operations.openapi),
  ]
}
