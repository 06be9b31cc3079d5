/** Every route of the native API: method, path, permission, limit, audit action, handler. */
import { createCredentialRoute } from './credentials.ts'
import { createApprovalRoutes } from './approvals.ts'
import { createAttestorRoutes } from './attestors.ts'
import { createAuditRoutes } from './audit.ts'
import { createContainmentRoutes } from './containments.ts'
import { type CrlRouteParts, createCrlRoute } from './crl.ts'
import { createDatabaseRoutes } from './databases.ts'
import { createExplainRoute } from './explain.ts'
import type { Actions } from '../actions/actions.ts'
import type { IdempotencyParts } from './idempotency.ts'
import { createIntrospectRoute } from './introspect.ts'
import { createKeyRoutes } from './keys.ts'
import { createLeaseRoutes } from './leases.ts'
import { type LogRouteParts, createLogRoutes } from './log.ts'
import { createOperatorRoutes } from './operators.ts'
import { type OperationsParts, createOperationsRoutes } from './operations.ts'
import { createPasskeyRoutes } from './passkeys.ts'
import { type PublicParts, createPublicRoutes } from './public.ts'
import { createRevocationRoutes } from './revocations.ts'
import { createRotationRoutes } from './rotation.ts'
import { type Route, act, change, issue, preparedChange, read } from './route-kinds.ts'
import { type SecretRouteParts, createSecretRoutes } from './secrets.ts'
import { createSecondFactorRoutes } from './second-factors.ts'
import { createSelfRoutes } from './self.ts'
import { createSessionRoutes } from './sessions.ts'
import { createTokenRoutes } from './tokens.ts'
import { createWatchRoute } from './watch.ts'
import { createWorkloadRoutes } from './workloads.ts'

export type RouteParts = { actions: Actions } & PublicParts &
  OperationsParts &
  IdempotencyParts &
  SecretRouteParts &
  LogRouteParts &
  CrlRouteParts

export function createRoutes(parts: RouteParts): Route[] {
  const anyone = createPublicRoutes(parts)
  const operations = createOperationsRoutes(parts)
  const credentials = createCredentialRoute(parts.actions.credentials)
  const self = createSelfRoutes(parts.actions.sessions)
  const watch = createWatchRoute(parts.actions.watch)
  const explain = createExplainRoute(parts.actions.workloads.explain)
  const attestors = createAttestorRoutes(parts)
  const workloads = createWorkloadRoutes(parts)
  const secrets = createSecretRoutes(parts)
  const rotation = createRotationRoutes(parts)
  const databases = createDatabaseRoutes(parts)
  const leases = createLeaseRoutes(parts)
  const operators = createOperatorRoutes(parts)
  const tokens = createTokenRoutes(parts)
  const sessions = createSessionRoutes(parts.actions)
  const passkeys = createPasskeyRoutes(parts.actions)
  const secondFactors = createSecondFactorRoutes(parts.actions)
  const audit = createAuditRoutes(parts)
  const log = createLogRoutes(parts)
  const keys = createKeyRoutes(parts)
  const revocations = createRevocationRoutes(parts)
  const approvals = createApprovalRoutes(parts)
  const containments = createContainmentRoutes(parts)
  return [
    issue('POST', '/api/v1/credentials', 'none', 'attest', 'credentials.issue', credentials),
    read('GET', '/api/v1/credentials/self', 'self', 'api', 'credentials.self', self.who),
    change('DELETE', '/api/v1/credentials/self', 'self', 'api', 'session.end', self.end),

    issue('GET', '/api/v1/secrets/{path}', 'granted:secrets.reveal', 'api', 'secret.read', secrets.readOne),
    issue('POST', '/api/v1/secrets:read', 'granted:secrets.reveal', 'api', 'secret.read', secrets.readMany),
    read('GET', '/api/v1/secrets', 'granted:secrets.read', 'api', 'secret.list', secrets.list),
    issue('POST', '/api/v1/secrets/{path}:ack', 'self', 'api', 'secret.ack', secrets.acknowledge),
    issue('PUT', '/api/v1/secrets/{path}', 'secrets.write', 'api', 'secret.put', secrets.put),
    issue('PATCH', '/api/v1/secrets/{path}', 'secrets.write', 'api', 'secret.put', secrets.patch),
    change('DELETE', '/api/v1/secrets/{path}', 'secrets.write', 'api', 'secret.delete', secrets.remove),
    change('POST', '/api/v1/secrets/{path}:undelete', 'secrets.write', 'api', 'secret.undelete', secrets.undelete),
    change('POST', '/api/v1/secrets/{path}:destroy', 'secrets.write', 'api', 'secret.destroy', secrets.destroy),
    read('GET', '/api/v1/secrets/{path}:versions', 'secrets.read', 'api', 'secret.versions', secrets.versions),
    read('GET', '/api/v1/secrets/{path}:metadata', 'secrets.read', 'api', 'secret.inspect', secrets.metadata),
    change('PUT', '/api/v1/secrets/{path}:metadata', 'secrets.write', 'api', 'secret.metadata', secrets.describe),
    issue('GET', '/api/v1/watch', 'granted:secrets.read', 'api', 'secret.watch', watch),

    read('GET', '/api/v1/secrets/{path}:rotation', 'secrets.read', 'api', 'secret.inspect', rotation.get),
    change('PUT', '/api/v1/secrets/{path}:rotation', 'secrets.write', 'api', 'secret.rotation', rotation.put),
    change('DELETE', '/api/v1/secrets/{path}:rotation', 'secrets.write', 'api', 'secret.rotation', rotation.remove),
    change('POST', '/api/v1/secrets/{path}:rotation', 'secrets.write', 'api', 'secret.rotation', rotation.steer),
    preparedChange('POST', '/api/v1/secrets/{path}:rotate', 'secrets.write', 'api', 'secret.rotate', rotation.rotate),
    change('POST', '/api/v1/secrets/{path}:rollback', 'secrets.write', 'api', 'secret.rollback', rotation.rollBack),
    read('GET', '/api/v1/secrets/{path}:consumers', 'secrets.read', 'api', 'secret.consumers', secrets.consumers),
    read('GET', '/api/v1/rotations', 'secrets.read', 'api', 'secret.inspect', rotation.list),
    read('GET', '/api/v1/rotation-policies', 'secrets.read', 'api', 'secret.inspect', rotation.policies),
    read('GET', '/api/v1/databases', 'databases.read', 'api', 'database.read', databases.list),
    change('POST', '/api/v1/databases', 'databases.write', 'api', 'database.create', databases.create),
    read('GET', '/api/v1/databases/{name}', 'databases.read', 'api', 'database.read', databases.get),
    change('PUT', '/api/v1/databases/{name}', 'databases.write', 'api', 'database.replace', databases.replace),
    change('DELETE', '/api/v1/databases/{name}', 'databases.write', 'api', 'database.delete', databases.remove),
    issue('POST', '/api/v1/databases/{name}:check', 'databases.write', 'api', 'database.check', databases.check),
    act('POST', '/api/v1/databases/{name}:rotate-admin', 'databases.write', 'api', 'database.rotate-admin', databases.rotateAdmin), // prettier-ignore
    read('GET', '/api/v1/leases', 'leases.read', 'api', 'lease.list', leases.list),
    act('POST', '/api/v1/leases/{id}:renew', 'self', 'api', 'lease.renew', leases.renew),
    act('POST', '/api/v1/leases/{id}:revoke', 'granted:leases.write', 'api', 'lease.revoke', leases.revoke),
    change('POST', '/api/v1/leases/{id}:abandon', 'leases.write', 'api', 'lease.abandon', leases.abandon),

    change('POST', '/api/v1/bootstrap', 'bootstrap', 'api', 'bootstrap.exchange', tokens.exchangeBootstrap),

    read('GET', '/api/v1/attestors', 'attestors.read', 'api', 'attestor.read', attestors.list),
    change('POST', '/api/v1/attestors', 'attestors.write', 'api', 'attestor.create', attestors.create),
    read('GET', '/api/v1/attestors/{name}', 'attestors.read', 'api', 'attestor.read', attestors.get),
    change('PUT', '/api/v1/attestors/{name}', 'attestors.write', 'api', 'attestor.replace', attestors.replace),
    change('DELETE', '/api/v1/attestors/{name}', 'attestors.write', 'api', 'attestor.delete', attestors.remove),
    issue('POST', '/api/v1/attestors/{name}:check', 'attestors.write', 'api', 'attestor.check', attestors.check),

    read('GET', '/api/v1/workloads', 'workloads.read', 'api', 'workload.read', workloads.list),
    change('POST', '/api/v1/workloads', 'workloads.write', 'api', 'workload.create', workloads.create),
    read('GET', '/api/v1/workloads/{name}', 'workloads.read', 'api', 'workload.read', workloads.get),
    change('PUT', '/api/v1/workloads/{name}', 'workloads.write', 'api', 'workload.replace', workloads.replace),
    change('DELETE', '/api/v1/workloads/{name}', 'workloads.write', 'api', 'workload.delete', workloads.remove),
    change('POST', '/api/v1/workloads/{name}:disable', 'workloads.write', 'api', 'workload.disable', workloads.disable),
    change('POST', '/api/v1/workloads/{name}:enable', 'workloads.write', 'api', 'workload.enable', workloads.enable),
    issue('POST', '/api/v1/workloads:explain', 'workloads.explain', 'api', 'workload.explain', explain),

    change('POST', '/api/v1/join-tokens', 'join-tokens.create', 'api', 'join-token.create', tokens.createJoinToken),
    read('GET', '/api/v1/operators', 'operators.read', 'api', 'operator.read', operators.list),
    change('POST', '/api/v1/operators', 'operators.write', 'api', 'operator.create', operators.create),
    read('GET', '/api/v1/operators/{name}', 'operators.read', 'api', 'operator.read', operators.get),
    change('PUT', '/api/v1/operators/{name}', 'operators.write', 'api', 'operator.replace', operators.replace),
    change('DELETE', '/api/v1/operators/{name}', 'operators.write', 'api', 'operator.delete', operators.remove),
    change('POST', '/api/v1/operators/{name}:disable', 'operators.write', 'api', 'operator.disable', operators.disable),
    change('POST', '/api/v1/operators/{name}:enable', 'operators.write', 'api', 'operator.enable', operators.enable),
    preparedChange('POST', '/api/v1/operators/{name}:password', 'tokens.own', 'api', 'operator.password', operators.setPassword), // prettier-ignore
    change('POST', '/api/v1/operators/{name}:enrol-totp', 'tokens.own', 'api', 'operator.second-factor', secondFactors.enrol), // prettier-ignore
    preparedChange('POST', '/api/v1/operators/{name}:confirm-totp', 'tokens.own', 'api', 'operator.second-factor', secondFactors.confirm), // prettier-ignore
    preparedChange('POST', '/api/v1/operators/{name}:remove-totp', 'tokens.own', 'api', 'operator.second-factor', secondFactors.remove), // prettier-ignore
    read('GET', '/api/v1/operators/{name}:passkeys', 'tokens.own', 'api', 'operator.read', passkeys.list),
    preparedChange('POST', '/api/v1/operators/{name}:enrol-passkey', 'tokens.own', 'api', 'operator.second-factor', passkeys.enrol), // prettier-ignore
    preparedChange('POST', '/api/v1/operators/{name}:confirm-passkey', 'tokens.own', 'api', 'operator.second-factor', passkeys.confirm), // prettier-ignore
    change('POST', '/api/v1/operators/{name}:remove-passkey', 'tokens.own', 'api', 'operator.second-factor', passkeys.remove), // prettier-ignore
    read('POST', '/api/v1/sessions:nonce', 'login', 'api', 'none', sessions.nonce),
    preparedChange('POST', '/api/v1/sessions', 'login', 'api', 'operator.login', sessions.create),
    preparedChange('POST', '/api/v1/sessions:oidc', 'login', 'api', 'operator.login', sessions.createByIdToken),
    read('POST', '/api/v1/sessions:passkey-options', 'login', 'api', 'none', sessions.passkeyOptions),
    preparedChange('POST', '/api/v1/sessions:passkey', 'login', 'api', 'operator.login', sessions.createByPasskey),
    change('DELETE', '/api/v1/sessions/self', 'tokens.own', 'api', 'operator.logout', sessions.end),
    read('GET', '/api/v1/tokens', 'tokens.own', 'api', 'token.list', tokens.list),
    change('POST', '/api/v1/tokens', 'tokens.own', 'api', 'token.create', tokens.create),
    change('POST', '/api/v1/tokens/{id}:replace', 'tokens.own', 'api', 'token.replace', tokens.replace),
    change('DELETE', '/api/v1/tokens/{id}', 'tokens.own', 'api', 'token.revoke', tokens.revoke),

    change('POST', '/api/v1/revocations', 'revocations.create', 'api', 'revocation.create', revocations.create),
    read('GET', '/api/v1/revocations', 'revocations.read', 'api', 'revocation.read', revocations.list),
    change('POST', '/api/v1/revocations/{id}:release', 'revocations.release', 'api', 'revocation.release', revocations.release), // prettier-ignore
    act('POST', '/api/v1/containments', 'containments.create', 'api', 'containment.create', containments.create),
    read('GET', '/api/v1/containments', 'containments.read', 'api', 'containment.read', containments.list),
    read('GET', '/api/v1/containments/{id}', 'containments.read', 'api', 'containment.read', containments.get),
    change('POST', '/api/v1/containments/{id}:release', 'containments.release', 'api', 'containment.release', containments.release), // prettier-ignore
    change('POST', '/api/v1/approvals', 'approvals.write', 'api', 'approval.request', approvals.request),
    read('GET', '/api/v1/approvals', 'approvals.read', 'api', 'approval.read', approvals.list),
    read('GET', '/api/v1/approvals/{id}', 'approvals.read', 'api', 'approval.read', approvals.get),
    change('POST', '/api/v1/approvals/{id}:approve', 'approvals.write', 'api', 'approval.approve', approvals.approve),
    change('POST', '/api/v1/approvals/{id}:deny', 'approvals.write', 'api', 'approval.deny', approvals.deny),
    change(
      'POST',
      '/api/v1/approvals/{id}:withdraw',
      'approvals.write',
      'api',
      'approval.withdraw',
      approvals.withdraw,
    ),
    read(
      'POST',
      '/api/v1/introspect',
      'introspect',
      'api',
      'token.introspect',
      createIntrospectRoute(parts.actions.sessions),
    ),
    read('GET', '/api/v1/keys', 'keys.read', 'api', 'key.read', keys.list),
    change('POST', '/api/v1/keys/{kind}:rotate', 'keys.write', 'api', 'key.create', keys.rotate),
    change('POST', '/api/v1/keys/ca:csr', 'keys.write', 'api', 'key.csr', keys.csr),
    change('POST', '/api/v1/keys/ca:import', 'keys.write', 'api', 'key.import', keys.import),

    issue('GET', '/api/v1/audit/entries', 'audit.read', 'api', 'audit.search', audit.search),
    issue('GET', '/api/v1/audit/entries/{epoch}/{index}', 'audit.read', 'api', 'audit.read', audit.entry),
    issue('GET', '/api/v1/audit/export', 'audit.export', 'api', 'audit.export', audit.export),
    issue('GET', '/api/v1/audit/consistency', 'audit.read', 'api', 'audit.read', audit.consistency),
    change('POST', '/api/v1/log:redact', 'keys.write', 'api', 'log.redact', log.redact),
    change('POST', '/api/v1/log:open', 'keys.write', 'api', 'log.open', log.open),

    read('GET', '/.well-known/openid-configuration', 'none', 'public', 'none', anyone.openidConfiguration),
    read('GET', '/keys', 'none', 'public', 'none', anyone.jwks),
    read('GET', '/.well-known/jwks.json', 'none', 'public', 'none', anyone.jwks),
    read('GET', '/bundle', 'none', 'public', 'none', anyone.bundle),
    read('GET', '/ca.pem', 'none', 'public', 'none', anyone.caPem),
    read('GET', '/crl/{keyId}', 'none', 'public', 'none', createCrlRoute(parts)),
    read('GET', '/crl/{keyId}/{shard}', 'none', 'public', 'none', createCrlRoute(parts)),
    read('GET', '/log/keys', 'none', 'public', 'none', log.keys),
    read('GET', '/log/{epoch}/checkpoint', 'none', 'public', 'none', log.checkpoint),
    read('GET', '/log/{epoch}/tile/{tilePath}', 'none', 'public', 'none', log.tile),
    read('GET', '/api/v1/server', 'none', 'public', 'none', anyone.server),
    read('GET', '/api/v1/logins', 'none', 'public', 'none', anyone.logins),
    read('GET', '/healthz', 'none', 'none', 'none', operations.health),
    read('GET', '/readyz', 'none', 'none', 'none', operations.ready),
    read('GET', '/metrics', 'metrics.read', 'api', 'none', operations.metrics),
    read('GET', '/openapi.yaml', 'none', 'public', 'none', operations.openapi),
    read('GET', '/docs', 'none', 'public', 'none', operations.docs),
    read('GET', '/login', 'login', 'public', 'none', operations.login),
    read('GET', '/login.js', 'login', 'public', 'none', operations.loginScript),
  ]
}
