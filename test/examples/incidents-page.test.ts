/** The commands of docs/incidents.md beside a running server, as a person would type them: a real shell, a server over TLS. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { type TestPurser, audience, startPurser, trustDomain } from '../support/purser.ts'
import { openPage, serverLine } from '../support/page.ts'
import { runShell } from '../support/shell.ts'

const page = openPage('incidents.md', ['A leaked workload', 'A leaked API token'])
const rotator = { kind: 'generated', fields: { password: { length: 32, alphabet: 'alphanumeric' } } }
let purser: TestPurser
let issuer: Issuer

async function attest(): Promise<{ status: number; token: string }> {
  const proof = { kind: 'jwt', token: await issuer.token({ sub: 'web' }) }
  const { status, body } = await purser.call('POST', '/api/v1/credentials', { proof, accessToken: {} })
  return { status, token: status === 200 ? (body['accessToken'] as { token: string }).token : '' }
}

beforeAll(async () => {
  purser = await startPurser({ tls: true, store: 'postgres' })
  issuer = await createIssuer()
  const keys = { jwks: { keys: [issuer.jwk] } }
  await purser.asAdmin('POST', '/api/v1/attestors', {
    name: 'prod-eu',
    kind: 'oidc',
    issuer: issuer.issuer,
    audience,
    keys,
  })
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'web',
    attestor: 'prod-eu',
    match: { 'oidc:sub': 'web' },
    spiffeId: 'spiffe://example.org/prod-eu/ns/prod/sa/web',
    grants: { secrets: [{ paths: ['prod/**'], actions: ['read'] }] },
  })
  for (const path of ['prod/db', 'prod/license'])
    await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { key: 'first' } }, { 'if-match': '"0"' })
  await purser.asAdmin('PUT', '/api/v1/secrets/prod/db:rotation', { rotator }, { 'if-match': '"0"' })
})
afterAll(async () => {
  await purser.stop()
  page.remove()
})

it('runs from the first to the last, with the output of the page', async () => {
  expect(page.blocks.length).toBeGreaterThan(5)
  const { database, rootKey } = purser.config
  if (database.kind !== 'postgres' || rootKey.kind !== 'value') throw new Error('no Postgres')
  const { token } = await attest()
  const body = { secrets: [{ path: 'prod/db' }, { path: 'prod/license' }] }
  expect((await purser.call('POST', '/api/v1/secrets:read', body, { token })).status).toBe(200)

  const env = [
    page.path,
    serverLine(purser),
    `export PURSER_TRUST_DOMAIN=${trustDomain} PURSER_PUBLIC_URL=${audience} PURSER_DATA_DIR=${purser.dataDir}`,
    `export DATABASE_URL='${database.url.reveal()}' PURSER_ROOT_KEY='${rootKey.value.reveal()}'`,
  ]
  // One shell: later blocks use what earlier ones set.
  const result = await runShell('sh', ['-eu', '-c', [...env, ...page.blocks].join('\n')], { cwd: page.folder })
  expect({ code: result.code, err: result.code === 0 ? '' : result.err }).toEqual({ code: 0, err: '' })
  expect(result.out).toMatch(/dry run: nothing was changed/)
  expect(result.out).toMatch(/state +contained/)
  expect(result.out).toMatch(/rotation +prod\/db: retired/)
  expect(result.out).toMatch(/needs a person +secret prod\/license/)
  expect(result.out).toMatch(/containment\.complete/)
  expect(result.out).toMatch(/revoked +1 API token/)
  expect(result.out).toMatch(/needs a person +change workload\/web/)
  expect((await purser.call('GET', '/api/v1/workloads', undefined, { token: purser.admin })).status).toBe(401)
  expect((await purser.call('GET', '/api/v1/credentials/self', undefined, { token })).status).toBe(401)
  expect((await attest()).status).toBe(200)
})
