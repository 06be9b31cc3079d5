import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { array, assert, constantFrom, dictionary, letrec, oneof, property } from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { isUtcTime } from '../../src/http/openapi-compile.ts'
import { loadOpenApi, readOpenApi } from '../../src/http/openapi.ts'
import type { OperationId } from '../../src/http/openapi.ts'
import { validateReply } from '../support/replies.ts'

const api = loadOpenApi()
const faults = (id: OperationId, body: unknown): Record<string, string> =>
  Object.fromEntries(
    api
      .operation(id)
      .validateBody(body)
      .map((problem) => [problem.pointer, problem.detail]),
  )

const proof = { kind: 'x509' }
const workload = { name: 'web', attestor: 'prod-eu', spiffeId: 'spiffe://example.org/prod-eu/web' }
const cluster = { name: 'prod-eu', kind: 'kubernetes', audience: 'https://purser.example.org' }

describe('bodies', () => {
  it('reports a missing body, unless it is optional', () => {
    expect(faults('issueCredentials', undefined)).toEqual({ '': 'is required' })
    expect(faults('bootstrap', undefined)).toEqual({})
    expect(faults('rotateKey', undefined)).toEqual({})
    expect(faults('whoAmI', {})).toEqual({ '': 'this operation takes no body' })
  })

  it.each([[[]], ['text'], [1], [null], [true]])('refuses %j instead of an object', (body) => {
    expect(faults('issueCredentials', body)).toEqual({ '': 'must be an object' })
  })

  it('names an unknown field by its pointer, escaped, at any depth', () => {
    expect(faults('issueCredentials', { proof: { ...proof, admin: true }, 'a/b~c': 1 })).toEqual({
      '/proof/admin': 'is not known here',
      '/a~1b~0c': 'is not known here',
    })
  })

  it('refuses __proto__ and constructor like any unknown field', () => {
    const body: unknown = JSON.parse('{"proof":{"kind":"x509"},"__proto__":{"x":1},"constructor":1}')
    expect(faults('issueCredentials', body)).toEqual({
      '/__proto__': 'is not known here',
      '/constructor': 'is not known here',
    })
  })

  it('converts nothing: a number in a string, null, a value instead of a list', () => {
    expect(
      faults('issueCredentials', {
        proof,
        accessToken: { lifetimeSeconds: '3600' },
        workload: null,
        jwts: [{ audience: 'payments' }],
      }),
    ).toEqual({
      '/accessToken/lifetimeSeconds': 'must be a whole number',
      '/workload': 'must be a string',
      '/jwts/0/audience': 'must be an array',
    })
  })

  it.each([
    [{}, { '/proof/kind': 'is required' }],
    [{ kind: 'saml' }, { '/proof/kind': 'must be one of jwt, join-token, x509' }],
    [{ kind: 7 }, { '/proof/kind': 'must be one of jwt, join-token, x509' }],
    ['jwt', { '/proof': 'must be an object' }],
    [{ kind: 'jwt' }, { '/proof/token': 'is required' }],
    [{ kind: 'jwt', token: '' }, { '/proof/token': 'must not be empty' }],
    [{ kind: 'x509', token: 'x' }, { '/proof/token': 'is not known here' }],
    [{ kind: 'join-token', token: 'purser_at_x' }, { '/proof/token': 'must be a join token, purser_join_…' }],
  ])('reports the errors of the chosen kind of proof: %j', (invalidProof, expected) => {
    expect(faults('issueCredentials', { proof: invalidProof })).toEqual(expected)
  })

  it('refuses a proof that is longer than any issuer signs', () => {
    const token = 'x'.repeat(16_385)
    expect(faults('issueCredentials', { proof: { kind: 'jwt', token } })).toEqual({
      '/proof/token': 'must have at most 16384 characters',
    })
  })

  it('requires exactly one of csr and generateKey', () => {
    const expected = { '/x509': 'must have exactly one of csr, generateKey' }
    expect(faults('issueCredentials', { proof, x509: {} })).toEqual(expected)
    expect(faults('issueCredentials', { proof, x509: { csr: 'x', generateKey: 'EC-P256' } })).toEqual(expected)
    expect(faults('issueCredentials', { proof, x509: { csr: 'x' } })).toEqual({})
    expect(faults('issueCredentials', { proof, x509: { generateKey: 'RSA-1024' } })).toEqual({
      '/x509/generateKey': 'must be one of EC-P256, RSA-2048',
    })
  })

  it('accepts a secret as path or object, and reports which form is wrong', () => {
    expect(
      faults('issueCredentials', {
        proof,
        secrets: ['prod/db', { path: 'prod/db', optional: true }, 'Prod', { path: 'a//b' }, 3],
      }),
    ).toEqual({
      '/secrets/2': 'must be segments of a-z, 0-9, dot, hyphen and underscore between slashes',
      '/secrets/3/path': 'must be segments of a-z, 0-9, dot, hyphen and underscore between slashes',
      '/secrets/4': 'must be a string or an object',
    })
  })

  it('reports errors of several forms in the order of the document', () => {
    const secrets = Array.from({ length: 64 }, () => ({ wrong: 1, more: 2 }))
    const problems = api.operation('issueCredentials').validateBody({ proof, secrets })
    expect(problems.slice(0, 4)).toEqual([
      { pointer: '/secrets/0/path', detail: 'is required' },
      { pointer: '/secrets/0/wrong', detail: 'is not known here' },
      { pointer: '/secrets/0/more', detail: 'is not known here' },
      { pointer: '/secrets/1/path', detail: 'is required' },
    ])
  })

  it('distinguishes kinds of attestors, and forms inside them', () => {
    expect(faults('createAttestor', { name: 'x' })).toEqual({ '/kind': 'is required' })
    expect(faults('createAttestor', { ...cluster, kind: 'docker' })).toEqual({
      '/kind': 'must be one of kubernetes, oidc',
    })
    expect(faults('createAttestor', { ...cluster, apiServer: 'in-cluster' })).toEqual({})
    expect(faults('createAttestor', { ...cluster, apiServer: 'elsewhere' })).toEqual({
      '/apiServer': 'must be "in-cluster"',
    })
    expect(
      faults('createAttestor', { ...cluster, apiServer: { url: 'http://10.0.0.1', caPem: 'x', auth: 'none' } }),
    ).toEqual({
      '/apiServer/url': 'must be an https URL',
      '/apiServer/auth': 'must be "purser-jwt"',
    })
    expect(faults('createAttestor', { ...cluster, kind: 'oidc' })).toEqual({
      '': 'must have at least one of issuer, preset',
    })
    expect(faults('createAttestor', { ...cluster, keys: { discovery: true, jwksUrl: 'https://x' } })).toEqual({
      '/keys': 'must have exactly one of discovery, jwksUrl, jwks',
    })
  })

  it('refuses private and symmetric members of a pasted key', () => {
    const jwks = {
      keys: [
        { kty: 'EC', crv: 'P-256', x: 'AQ', y: 'AQ', d: 'c2VjcmV0' },
        { kty: 'oct', k: 'c2VjcmV0' },
      ],
    }
    expect(faults('createAttestor', { ...cluster, keys: { jwks } })).toEqual({
      '/keys/jwks/keys/0/d': 'is not known here',
      '/keys/jwks/keys/1/kty': 'must be one of EC, RSA, OKP',
      '/keys/jwks/keys/1/k': 'is not known here',
    })
  })

  it('points at the invalid selector, and at its name', () => {
    const match: unknown = JSON.parse('{"k8s:ns":[],"k8s:sa":true,"k8s:node":["a",1],"no colon":"x","__proto__":"x"}')
    expect(faults('createWorkload', { ...workload, match })).toEqual({
      '/match/k8s:ns': 'must have at least 1 item',
      '/match/k8s:sa': 'must be a string or an array',
      '/match/k8s:node/1': 'must be a string',
      '/match/no colon': 'the name must be a selector such as k8s:ns',
      '/match/__proto__': 'the name must be a selector such as k8s:ns',
    })
    expect(faults('createWorkload', { ...workload, match: {} })).toEqual({ '/match': 'must have at least 1 member' })
    expect(faults('createWorkload', workload)).toEqual({})
  })

  it('accepts exactly one subject of a revocation, and since only with a SPIFFE ID', () => {
    const object = { '': 'must have exactly one of serialNumber, jti, session, accessToken, spiffeId' }
    expect(faults('createRevocation', {})).toEqual(object)
    expect(faults('createRevocation', { jti: 'a', accessToken: 'b' })).toEqual(object)
    expect(faults('createRevocation', { jti: 'a', since: '2026-11-24T23:05:00Z' })).toEqual({
      '/spiffeId': 'is required with since',
    })
    expect(faults('createRevocation', { spiffeId: workload.spiffeId, since: '2026-11-24T23:05:00+01:00' })).toEqual({
      '/since': 'must be a time in UTC such as 2026-11-24T23:05:00Z',
    })
  })

  it('explains by a request id, a proof, or an attestor with selectors', () => {
    const expected = { '': 'must have exactly one of requestId, proof, attestor with selectors' }
    expect(faults('explainWorkload', { attestor: 'prod-eu' })).toEqual(expected)
    expect(faults('explainWorkload', { attestor: 'prod-eu', proof: { kind: 'jwt', token: 'x' } })).toEqual({})
    expect(faults('explainWorkload', { proof })).toEqual({ '/proof/kind': 'must be one of jwt, join-token' })
  })

  it('validates a form by its own schema', () => {
    const introspect = api.operation('introspectToken')
    const form = 'application/x-www-form-urlencoded'
    expect(introspect.mediaTypes).toEqual(['application/json', form])
    expect(introspect.validateBody({ token: 'x', token_type_hint: 'access_token' }, form)).toEqual([])
    expect(introspect.validateBody({ token: 'x', token_type_hint: 'access_token' })).toHaveLength(1)
    expect(introspect.validateBody({ token: 'x' }, 'text/plain')).toEqual([
      { pointer: '', detail: `must be application/json or ${form}` },
    ])
  })

  it('lists at most 20 problems', () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x${n}`, n]))
    expect(api.operation('issueCredentials').validateBody({ proof, ...many })).toHaveLength(20)
  })

  it('does not inspect oversized values', () => {
    const secrets = Array.from({ length: 200_000 }, () => 'NO')
    expect(faults('issueCredentials', { proof, secrets })).toEqual({ '/secrets': 'must have at most 64 items' })
    const match = Object.fromEntries(secrets.map((value, n) => [`n${n}`, value]))
    expect(faults('createWorkload', { ...workload, match })).toEqual({ '/match': 'must have at most 32 members' })
    const dnsName = `${'a.'.repeat(100_000)}!`
    expect(faults('issueCredentials', { proof, x509: { csr: 'x', dnsNames: [dnsName] } })).toEqual({
      '/x509/dnsNames/0': 'must have at most 253 characters',
    })
  })

  it('cuts long pointers', () => {
    const [only] = api.operation('issueCredentials').validateBody({ proof, ['x'.repeat(10_000)]: 1 })
    expect(only?.pointer).toHaveLength(257)
    expect(only?.pointer.endsWith('…')).toBe(true)
  })

  it('never echoes a value', () => {
    const canary = 'CANARY-7f3a'
    const operations = api.operations.filter((operation) => operation.mediaTypes.includes('application/json'))
    const leaf = constantFrom<unknown[]>(canary, `!${canary}`, [canary], { token: canary }, 12_345_678_901, null)
    const words =
      'proof kind token x509 csr dnsNames name match k8s:ns grants jwt audiences apiServer keys jwks jti since secrets path labels selectors'
    const names = constantFrom(...words.split(' '))
    const { body } = letrec((tie) => ({
      body: oneof(
        { maxDepth: 4, depthIdentifier: 'body' },
        leaf,
        dictionary(names, tie('body'), { maxKeys: 6, depthIdentifier: 'body' }),
        array(tie('body'), { maxLength: 4, depthIdentifier: 'body' }),
      ),
    }))
    assert(
      property(constantFrom(...operations), body, (operation, value) => {
        const problems = operation.validateBody(value)
        expect(problems.length).toBeLessThanOrEqual(20)
        expect(JSON.stringify(problems)).not.toMatch(/CANARY|12345678901/)
        for (const { pointer, detail } of problems) {
          expect(pointer).toMatch(/^(?:\/.*)?$/)
          expect(detail).not.toMatch(/undefined|documented form|one of the expected/)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('parameters', () => {
  const query = (params: Record<string, unknown>) => api.operation('listWorkloads').validateParams({ query: params })

  it.each(['0', '-1', '201', '1e2', '0x10', ' 5', '5 ', '10abc', '', '05', '1.0', '99999999999999999999'])(
    'refuses a limit of %j',
    (limit) => {
      const { values, problems } = query({ limit })
      expect(values).toBeUndefined()
      expect(problems.map((problem) => problem.pointer)).toEqual(['/query/limit'])
    },
  )

  it('reads whole numbers and fills in defaults, on a copy', () => {
    const params = { limit: '200' }
    expect(query(params).values?.query).toEqual({ limit: 200 })
    expect(params).toEqual({ limit: '200' })
    expect(query({}).values?.query).toEqual({ limit: 50 })
  })

  it('refuses repeated and unknown parameters without showing their values', () => {
    expect(query({ limit: ['1', '2'], access_token: 'purser_at_x' }).problems).toEqual([
      { pointer: '/query/limit', detail: 'must occur once' },
      { pointer: '/query/access_token', detail: 'is not known here' },
    ])
    expect(
      query(
        Object.fromEntries([
          ['__proto__', '1'],
          ['constructor', '1'],
        ]),
      ).problems,
    ).toHaveLength(2)
    expect(api.operation('getServer').validateParams({ query: { x: '1' } }).problems).toHaveLength(1)
  })

  it('reports missing parameters', () => {
    expect(api.operation('getConsistency').validateParams({ query: {} }).problems).toEqual([
      { pointer: '/query/from', detail: 'is required' },
    ])
  })

  it.each([
    'Web',
    'a_b',
    '-a',
    'a/b',
    'a%2Fb',
    'a;x=1',
    'a:bogus',
    '..',
    'a0123456789012345678901234567890123456789012345678901234567890123',
  ])('refuses the name %j', (name) => {
    const { problems } = api.operation('getWorkload').validateParams({ path: { name } })
    expect(problems.map((problem) => problem.pointer)).toEqual(['/path/name'])
  })

  it('reads numbers in paths', () => {
    const path = { epoch: '1', index: '41873' }
    expect(api.operation('getEntry').validateParams({ path }).values?.path).toEqual({ epoch: 1, index: 41873 })
    const beyond = { epoch: '0', index: '9007199254740992' }
    expect(api.operation('getEntry').validateParams({ path: beyond }).problems).toHaveLength(2)
  })

  it.each([
    ['0/000', true],
    ['entries/x001/x234/067', true],
    ['63/000.p/255', true],
    ['0/000.p/0', false],
    ['0/000.p/256', false],
    ['64/000', false],
    ['0/x001', false],
    ['0/../keys', false],
    ['00/000', false],
  ])('a tile path of many segments: %s', (text, fine) => {
    const tile = api.operation('getTile')
    expect(tile.manySegments).toEqual(['tilePath'])
    const { values, problems } = tile.validateParams({ path: { epoch: '1', tilePath: text.split('/') } })
    expect(problems.length === 0).toBe(fine)
    if (fine) expect(values?.path.tilePath).toBe(text)
  })

  it('reads the conventional headers where they are declared, and leaves a missing one to the route', () => {
    const replace = api.operation('replaceWorkload')
    expect(replace.takes).toEqual({ ifMatch: true, idempotencyKey: false, reason: true })
    const path = { name: 'web' }
    const headers = { 'if-match': '"4"', 'purser-reason': 'smoke test', 'idempotency-key': 'k', host: 'x' }
    expect(replace.validateParams({ path, headers }).values).toEqual({
      path,
      query: {},
      ifMatch: 4,
      reason: 'smoke test',
    })
    expect(replace.validateParams({ path, headers: {} }).values).toEqual({ path, query: {} })
    expect(api.operation('createWorkload').validateParams({ headers }).values?.idempotencyKey).toBe('k')
    expect(api.operation('listWorkloads').validateParams({ headers }).values).toEqual({
      path: {},
      query: { limit: 50 },
    })
  })

  it.each(['4', '*', 'W/"4"', '"04"', '"-1"', '"1", "2"', '""', '"1000000000"'])('refuses If-Match %s', (header) => {
    const { problems } = api
      .operation('deleteWorkload')
      .validateParams({ path: { name: 'web' }, headers: { 'if-match': header } })
    expect(problems).toEqual([expect.objectContaining({ pointer: '/header/If-Match' })])
  })

  it('reads a reason in UTF-8, which Node decodes as Latin-1, and refuses control characters', () => {
    const reason = (text: string) =>
      api.operation('disableWorkload').validateParams({ path: { name: 'web' }, headers: { 'purser-reason': text } })
    expect(reason(Buffer.from('clé volée').toString('latin1')).values?.reason).toBe('clé volée')
    expect(reason('cl\u00e9').values?.reason).toBe('clé')
    expect(reason('a\tb').problems).toEqual([{ pointer: '/header/Purser-Reason', detail: 'must be printable text' }])
    expect(reason('x'.repeat(201)).problems).toHaveLength(1)
  })

  it('searches by every filter of the contract', () => {
    const filters = {
      actor: 'admin',
      session: 'ses_7d1e5b0c9a2f4836b5d4c3e2f1a09876',
      spiffeId: workload.spiffeId,
      workload: 'web',
      attestor: 'prod-eu',
      selector: 'k8s:ns=a=b',
      action: 'credentials.issue',
      outcome: 'refused',
      reason: 'no_workload',
      serialNumber: 'ab01',
      sha256: 'a'.repeat(64),
      jti: 'x',
      leaseId: 'ls_1',
      path: 'prod/db',
      requestId: 'req_0f9a3c51e7bd48629d1c0a4be5f73826',
      sourceIp: '2001:db8::1',
      since: '2026-11-24T23:05:00Z',
      until: '2026-11-24T23:05:00.123Z',
      order: 'asc',
    }
    const { values, problems } = api
      .operation('searchEntries')
      .validateParams({ query: { ...filters, fromIndex: '7' } })
    expect(problems).toEqual([])
    expect(values?.query).toEqual({ ...filters, fromIndex: 7, limit: 50 })
  })
})

describe('the validation of replies in tests', () => {
  it('finds a missing and an unlisted member', () => {
    const reply = { operator: 'admin', tokenId: 'tok_1', token: 'x', expiresAt: '2026-11-24T23:05:00Z' }
    expect(validateReply('bootstrap', 200, reply)).toEqual([])
    expect(
      validateReply('bootstrap', 200, { ...reply, tokenId: undefined, hash: 'x' })
        .map((problem) => problem.pointer)
        .sort(),
    ).toEqual(['/hash', '/tokenId'])
  })

  it('validates any other status as a problem', () => {
    const problem = {
      type: 'urn:purser:problem:stale',
      title: 't',
      status: 412,
      code: 'stale',
      requestId: 'req_0f9a3c51e7bd48629d1c0a4be5f73826',
    }
    expect(validateReply('replaceWorkload', 412, { ...problem, revision: 4 })).toEqual([])
    expect(validateReply('replaceWorkload', 412, { ...problem, stack: 'x' })).toEqual([
      { pointer: '/stack', detail: 'is not known here' },
    ])
  })

  it('compiles every JSON reply of every operation', () => {
    for (const operation of api.operations) {
      expect(validateReply(operation.operationId, 500, {}), operation.operationId).not.toEqual([])
    }
  })
})

describe('times', () => {
  it.each([
    ['2026-11-24T23:05:00Z', true],
    ['2026-11-24T23:05:00.1Z', true],
    ['2024-02-29T00:00:00.123Z', true],
    ['2026-02-29T00:00:00Z', false],
    ['2026-11-24T24:00:00Z', false],
    ['2026-11-24T23:59:60Z', false],
    ['2026-11-24T23:05:00.1234Z', false],
    ['2026-11-24T23:05:00z', false],
    ['2026-11-24 23:05:00Z', false],
    ['2026-11-24T23:05:00+00:00', false],
    ['2026-11-24', false],
    ['20260-11-24T23:05:00Z', false],
  ])('%s', (text, fine) => {
    expect(isUtcTime(text)).toBe(fine)
  })
})

describe('loading', () => {
  const folder = mkdtempSync(join(tmpdir(), 'purser-openapi-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const load = (text: string) => {
    const file = join(folder, 'openapi.yaml')
    writeFileSync(file, text)
    return readOpenApi(file)
  }

  it.each([
    ['a reference that leads nowhere', "paths: { /x: { $ref: '#/components/x' } }", /leads nowhere/],
    ['one into another file', 'paths: { /x: { $ref: other.yaml } }', /not inside the document/],
    ['one to itself', "paths: { a: { $ref: '#/paths/b' }, b: { $ref: '#/paths/a' } }", /in a circle/],
    ['a repeated member', 'paths: {}\npaths: {}', /unique/],
    ['an operation without a name', 'paths: { /x: { get: {} } }', /no operationId/],
  ])('refuses %s', (_, text, message) => {
    expect(() => load(text)).toThrow(message)
  })

  it('names the searched places of a missing file, and refuses an operation that does not exist', () => {
    expect(() => readOpenApi(join(folder, 'none.yaml'))).toThrow(/none\.yaml/)
    expect(() => load('paths: {}').operation('bootstrap')).toThrow(/no operation bootstrap/)
  })
})
