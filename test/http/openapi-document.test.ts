import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import openapiTS, { COMMENT_HEADER, astToString } from 'openapi-typescript'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { actions } from '../../src/audit/entry.ts'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { inline, isNode, list, nodes } from '../../src/http/openapi-schemas.ts'
import type { Node } from '../../src/http/openapi-schemas.ts'
import { isApprovable } from '../../src/operators/approvable.ts'
import { permissions } from '../../src/operators/permissions.ts'
import { validateReply } from '../support/replies.ts'

const api = loadOpenApi()
const raw: unknown = parse(api.text)
const document = inline(raw)

const node = (value: unknown): Node => (isNode(value) ? value : {})
const at = (value: unknown, ...steps: string[]): Node => steps.reduce((from, step) => node(from[step]), node(value))

const operations = Object.entries(at(document, 'paths')).flatMap(([path, item]) =>
  ['get', 'put', 'patch', 'post', 'delete']
    .filter((method) => isNode(node(item)[method]))
    .map((method) => {
      const operation = at(item, method)
      const parameters = [...nodes(node(item)['parameters']), ...nodes(operation['parameters'])]
      return { id: String(operation['operationId']), path, method, operation, parameters }
    }),
)

/** Each schema of a request with its position, applicators included. */
function* schemasIn(schema: Node, path: string): Generator<{ schema: Node; path: string }> {
  yield { schema, path }
  for (const word of ['items', 'additionalProperties', 'propertyNames']) {
    if (isNode(schema[word])) yield* schemasIn(at(schema, word), `${path}/${word}`)
  }
  for (const word of ['oneOf', 'anyOf', 'allOf']) {
    for (const [n, form] of nodes(schema[word]).entries()) yield* schemasIn(form, `${path}/${word}/${n}`)
  }
  for (const [name, inner] of Object.entries(at(schema, 'properties'))) yield* schemasIn(node(inner), `${path}/${name}`)
}

const bodies = operations.flatMap(({ id, operation }) =>
  Object.entries(at(operation, 'requestBody', 'content')).map(([type, media]) => ({ id, type, media: node(media) })),
)
const requestSchemas = [
  ...bodies.flatMap(({ id, type, media }) => [...schemasIn(at(media, 'schema'), `${id} ${type}`)]),
  ...operations.flatMap(({ id, parameters }) =>
    parameters.flatMap((parameter) => [...schemasIn(at(parameter, 'schema'), `${id} ${String(parameter['name'])}`)]),
  ),
]

const walk = (value: unknown, visit: (value: unknown, path: string) => void, path = ''): void => {
  visit(value, path)
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) walk(inner, visit, `${path}/${name}`)
}

describe('openapi.yaml', () => {
  it('has exactly the operations that clients use', () => {
    expect(operations.map((operation) => `${operation.method.toUpperCase()} ${operation.path} ${operation.id}`))
      .toMatchInlineSnapshot(`
        [
          "POST /api/v1/credentials issueCredentials",
          "GET /api/v1/credentials/self whoAmI",
          "DELETE /api/v1/credentials/self endSession",
          "GET /api/v1/secrets listSecrets",
          "POST /api/v1/secrets:read readSecrets",
          "GET /api/v1/secrets/{path} readSecret",
          "PUT /api/v1/secrets/{path} putSecret",
          "PATCH /api/v1/secrets/{path} patchSecret",
          "DELETE /api/v1/secrets/{path} deleteSecret",
          "POST /api/v1/secrets/{path}:undelete undeleteSecret",
          "POST /api/v1/secrets/{path}:destroy destroySecret",
          "GET /api/v1/secrets/{path}:versions listSecretVersions",
          "GET /api/v1/secrets/{path}:metadata getSecretMetadata",
          "PUT /api/v1/secrets/{path}:metadata describeSecret",
          "POST /api/v1/secrets/{path}:ack ackSecret",
          "GET /api/v1/watch watch",
          "GET /api/v1/databases listDatabases",
          "POST /api/v1/databases createDatabase",
          "GET /api/v1/databases/{name} getDatabase",
          "PUT /api/v1/databases/{name} replaceDatabase",
          "DELETE /api/v1/databases/{name} deleteDatabase",
          "POST /api/v1/databases/{name}:check checkDatabase",
          "POST /api/v1/databases/{name}:rotate-admin rotateDatabaseAdmin",
          "GET /api/v1/leases listLeases",
          "POST /api/v1/leases/{id}:renew renewLease",
          "POST /api/v1/leases/{id}:revoke revokeLease",
          "POST /api/v1/leases/{id}:abandon abandonLease",
          "GET /api/v1/secrets/{path}:rotation getRotation",
          "PUT /api/v1/secrets/{path}:rotation putRotationPolicy",
          "POST /api/v1/secrets/{path}:rotation steerRotation",
          "DELETE /api/v1/secrets/{path}:rotation deleteRotationPolicy",
          "POST /api/v1/secrets/{path}:rotate rotateSecret",
          "POST /api/v1/secrets/{path}:rollback rollBackSecret",
          "GET /api/v1/secrets/{path}:consumers listConsumers",
          "GET /api/v1/rotations listRotations",
          "GET /api/v1/rotation-policies listRotationPolicies",
          "POST /api/v1/bootstrap bootstrap",
          "GET /api/v1/attestors listAttestors",
          "POST /api/v1/attestors createAttestor",
          "GET /api/v1/attestors/{name} getAttestor",
          "PUT /api/v1/attestors/{name} replaceAttestor",
          "DELETE /api/v1/attestors/{name} deleteAttestor",
          "POST /api/v1/attestors/{name}:check checkAttestor",
          "GET /api/v1/workloads listWorkloads",
          "POST /api/v1/workloads createWorkload",
          "GET /api/v1/workloads/{name} getWorkload",
          "PUT /api/v1/workloads/{name} replaceWorkload",
          "DELETE /api/v1/workloads/{name} deleteWorkload",
          "POST /api/v1/workloads/{name}:disable disableWorkload",
          "POST /api/v1/workloads/{name}:enable enableWorkload",
          "POST /api/v1/workloads:explain explainWorkload",
          "POST /api/v1/join-tokens createJoinToken",
          "GET /api/v1/revocations listRevocations",
          "POST /api/v1/revocations createRevocation",
          "POST /api/v1/revocations/{id}:release releaseRevocation",
          "GET /api/v1/containments listContainments",
          "POST /api/v1/containments createContainment",
          "GET /api/v1/containments/{id} getContainment",
          "POST /api/v1/containments/{id}:release releaseContainment",
          "GET /api/v1/approvals listApprovals",
          "POST /api/v1/approvals requestApproval",
          "GET /api/v1/approvals/{id} getApproval",
          "POST /api/v1/approvals/{id}:approve approveRequest",
          "POST /api/v1/approvals/{id}:deny denyRequest",
          "POST /api/v1/approvals/{id}:withdraw withdrawRequest",
          "POST /api/v1/introspect introspectToken",
          "GET /api/v1/keys listKeys",
          "POST /api/v1/keys/{kind}:rotate rotateKey",
          "POST /api/v1/keys/ca:csr createCaCsr",
          "POST /api/v1/keys/ca:import importCaChain",
          "GET /api/v1/operators listOperators",
          "POST /api/v1/operators createOperator",
          "GET /api/v1/operators/{name} getOperator",
          "PUT /api/v1/operators/{name} replaceOperator",
          "DELETE /api/v1/operators/{name} deleteOperator",
          "POST /api/v1/operators/{name}:disable disableOperator",
          "POST /api/v1/operators/{name}:enable enableOperator",
          "POST /api/v1/operators/{name}:password setOperatorPassword",
          "POST /api/v1/operators/{name}:enrol-totp enrolTotp",
          "POST /api/v1/operators/{name}:confirm-totp confirmTotp",
          "POST /api/v1/operators/{name}:remove-totp removeTotp",
          "GET /api/v1/operators/{name}:passkeys listPasskeys",
          "POST /api/v1/operators/{name}:enrol-passkey enrolPasskey",
          "POST /api/v1/operators/{name}:confirm-passkey confirmPasskey",
          "POST /api/v1/operators/{name}:remove-passkey removePasskey",
          "POST /api/v1/sessions:nonce issueLoginNonce",
          "POST /api/v1/sessions login",
          "POST /api/v1/sessions:oidc loginAtProvider",
          "POST /api/v1/sessions:passkey-options issuePasskeyOptions",
          "POST /api/v1/sessions:passkey loginWithPasskey",
          "DELETE /api/v1/sessions/self logout",
          "GET /api/v1/tokens listTokens",
          "POST /api/v1/tokens createToken",
          "DELETE /api/v1/tokens/{id} revokeToken",
          "POST /api/v1/tokens/{id}:replace replaceToken",
          "GET /api/v1/audit/entries searchEntries",
          "GET /api/v1/audit/entries/{epoch}/{index} getEntry",
          "GET /api/v1/audit/export exportEntries",
          "GET /api/v1/audit/consistency getConsistency",
          "POST /api/v1/log:redact redactEntries",
          "POST /api/v1/log:open openLog",
          "GET /.well-known/openid-configuration getOpenidConfiguration",
          "GET /keys getJwks",
          "GET /.well-known/jwks.json getWellKnownJwks",
          "GET /bundle getBundle",
          "GET /ca.pem getCaPem",
          "GET /crl/{keyId} getCrl",
          "GET /crl/{keyId}/{shard} getCrlShard",
          "GET /log/{epoch}/checkpoint getCheckpoint",
          "GET /log/{epoch}/tile/{tilePath} getTile",
          "GET /log/keys getLogKeys",
          "GET /api/v1/server getServer",
          "GET /api/v1/logins listLogins",
          "GET /healthz getHealth",
          "GET /readyz getReady",
          "GET /metrics getMetrics",
          "GET /openapi.yaml getOpenapi",
          "GET /docs getDocs",
          "GET /login getLoginPage",
          "GET /login.js getLoginScript",
        ]
      `)
  })

  it('names each operation once', () => {
    expect(new Set(operations.map((operation) => operation.id)).size).toBe(operations.length)
  })

  it('has neither members without a value nor schemas that are plain words', () => {
    const empty: string[] = []
    walk(raw, (value, path) => {
      if (value === null || value === '') empty.push(path)
    })
    expect(empty).toEqual([])
  })

  it('uses every component', () => {
    const used = new Set<unknown>()
    walk(raw, (value) => isNode(value) && used.add(value['$ref']))
    const components = at(raw, 'components')
    const unused = Object.keys(components)
      .filter((kind) => kind !== 'securitySchemes')
      .flatMap((kind) => Object.keys(at(components, kind)).map((name) => `#/components/${kind}/${name}`))
      .filter((reference) => !used.has(reference))
    expect(unused).toEqual([])
  })

  it('names only security schemes that exist', () => {
    const schemes = Object.keys(at(document, 'components', 'securitySchemes'))
    for (const { id, operation } of operations) {
      expect(nodes(operation['security']).length, id).toBeGreaterThan(0)
      for (const choice of nodes(operation['security']))
        expect(schemes, id).toEqual(expect.arrayContaining(Object.keys(choice)))
    }
  })

  it.each(operations)('$id states permission, audit action and limits', ({ operation }) => {
    const { permission, action, limit, maxBodyBytes, ...more } = at(operation, 'x-purser')
    const granted = Object.keys(permissions).map((name) => `granted:${name}`)
    expect([...Object.keys(permissions), ...granted, 'none', 'login', 'bootstrap', 'self', 'introspect']).toContain(
      permission,
    )
    expect([...Object.keys(actions), 'none']).toContain(action)
    expect(['attest', 'api', 'public', 'none']).toContain(limit)
    expect(Number(maxBodyBytes) > 0).toBe('requestBody' in operation)
    expect(more).toEqual({})
  })

  it.each(operations)('$id needs a credential unless its permission is none or login', ({ id, operation }) => {
    const open = nodes(operation['security']).some((choice) => Object.keys(choice).length === 0)
    const free = ['none', 'login'].includes(String(at(operation, 'x-purser')['permission']))
    // Metrics have their own listener, without authentication.
    if (id !== 'getMetrics') expect(open).toBe(free)
  })

  it.each(operations)('$id describes every refusal', ({ operation }) => {
    const problem = at(operation, 'responses', 'default', 'content', 'application/problem+json', 'schema')
    expect(Object.keys(at(problem, 'properties'))).toEqual(
      expect.arrayContaining(['type', 'title', 'status', 'code', 'requestId']),
    )
  })

  it.each(operations)('$id declares the parameters of its path, and no others in the path', ({ path, parameters }) => {
    const declared = parameters.filter((parameter) => parameter['in'] === 'path')
    expect(declared.every((node) => node['required'] === true)).toBe(true)
    expect(declared.map((node) => `{${String(node['name'])}}`).sort()).toEqual((path.match(/\{[^}]+\}/g) ?? []).sort())
  })

  it('accepts If-Match when PUT or DELETE writes a versioned resource, and Idempotency-Key when POST creates one', () => {
    const taking = (header: string): string[] =>
      operations
        .filter((operation) => operation.parameters.some((parameter) => parameter['name'] === header))
        .map((operation) => operation.id)
    expect(taking('If-Match')).toEqual([
      'putSecret',
      'patchSecret',
      'deleteSecret',
      'describeSecret',
      'replaceDatabase',
      'deleteDatabase',
      'putRotationPolicy',
      'deleteRotationPolicy',
      'replaceAttestor',
      'deleteAttestor',
      'replaceWorkload',
      'deleteWorkload',
      'replaceOperator',
      'deleteOperator',
    ])
    expect(taking('Idempotency-Key')).toEqual([
      'createDatabase',
      'rotateSecret',
      'rollBackSecret',
      'createAttestor',
      'createWorkload',
      'createJoinToken',
      'createRevocation',
      'createContainment',
      'rotateKey',
      'createCaCsr',
      'importCaChain',
      'createOperator',
      'createToken',
      'replaceToken',
    ])
  })

  it('accepts Purser-Approval where an action can need an approval', () => {
    const taking = operations.filter(({ parameters }) => parameters.some(({ name }) => name === 'Purser-Approval'))
    const approved = operations.filter(({ operation }) => isApprovable(String(at(operation, 'x-purser')['action'])))
    expect(approved.length).toBeGreaterThan(15)
    expect(taking.map(({ id }) => id)).toEqual(approved.map(({ id }) => id))
  })

  it('closes every object of a request, or bounds its names', () => {
    const open = requestSchemas.filter(({ schema }) => {
      if (!list(schema['type']).concat(schema['type']).includes('object')) return false
      if (schema['additionalProperties'] === false) return false
      return !('propertyNames' in schema && 'maxProperties' in schema && isNode(schema['additionalProperties']))
    })
    expect(open.map((route) => route.path)).toEqual([])
  })

  it('bounds every string, array and number of a request', () => {
    const limits = { string: 'maxLength', array: 'maxItems', integer: 'maximum' } as const
    const unbounded = requestSchemas.filter(({ schema }) =>
      Object.entries(limits).some(
        ([type, limit]) =>
          list(schema['type']).concat(schema['type']).includes(type) &&
          !(limit in schema || 'enum' in schema || 'const' in schema),
      ),
    )
    expect(unbounded.map((place) => place.path)).toEqual([])
  })

  it('describes each pattern of a request in words', () => {
    const silent = requestSchemas.filter(({ schema }) => 'pattern' in schema && !('x-expected' in schema))
    expect(silent.map((route) => route.path)).toEqual([])
  })

  it('anchors each pattern at both ends', () => {
    const loose: string[] = []
    walk(document, (value, path) => {
      if (isNode(value) && typeof value['pattern'] === 'string' && !/^\^.*\$$/s.test(value['pattern'])) loose.push(path)
    })
    expect(loose).toEqual([])
  })

  it('is strict JSON Schema throughout', () => {
    const ajv = new Ajv2020({
      strict: true,
      strictRequired: false,
      allowUnionTypes: true,
      formats: { 'date-time': true },
    })
    ajv.addKeyword('x-expected')
    for (const [name, schema] of Object.entries(at(document, 'components', 'schemas'))) {
      expect(() => ajv.compile(node(schema)), name).not.toThrow()
    }
  })

  it.each(bodies)('$id accepts its own examples as $type', ({ id, type, media }) => {
    const examples = Object.entries(at(media, 'examples'))
    expect(examples.length).toBeGreaterThan(0)
    const operation = api.operations.find((operation) => operation.operationId === id)
    for (const [name, example] of examples)
      expect(operation?.validateBody(node(example)['value'], type), name).toEqual([])
  })

  it.each(api.operations.filter((operation) => operation.operationId === 'bootstrap'))(
    '$operationId replies as its example',
    (operation) => {
      const content = at(
        document,
        'paths',
        operation.path,
        operation.method.toLowerCase(),
        'responses',
        '200',
        'content',
      )
      const examples = Object.values(at(content, 'application/json', 'examples'))
      expect(examples.map((example) => validateReply(operation.operationId, 200, node(example)['value']))).toEqual([[]])
    },
  )
})

describe('src/http/openapi.generated.ts', () => {
  it('is what npm run types generates from the document', async () => {
    const root = new URL('../../', import.meta.url)
    const generated = COMMENT_HEADER + astToString(await openapiTS(new URL('openapi.yaml', root)))
    expect(readFileSync(new URL('src/http/openapi.generated.ts', root), 'utf8')).toBe(generated)
  })
})
