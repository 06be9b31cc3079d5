/** A process with only its environment, against a real Purser. Each cloud and CI system is a stand-in. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sdkProgram } from '../support/built-sdk.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { httpServer, httpsServer } from '../outbound/tls-server.ts'
import { identities } from './machine.ts'

let purser: TestPurser
let lab: Issuer
let github: Issuer
let dir: string

const githubClaims = {
  sub: 'repo:acme/shop:ref:refs/heads/main', repository_id: '42', repository_owner_id: '7', ref: 'refs/heads/main',
  event_name: 'push', run_id: '100', run_attempt: '1', check_run_id: '900',
} // prettier-ignore

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  lab = await createIssuer()
  await registerLab(purser, lab)
  github = await createIssuer('https://token.actions.githubusercontent.com', 'g1', 'RS256')
  const keys = { jwks: { keys: [github.jwk] } }
  await purser.asAdmin('POST', '/api/v1/attestors', {
    name: 'github', kind: 'oidc', preset: 'github-actions', audience, keys,
  }) // prettier-ignore
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'deploy',
    attestor: 'github',
    match: { 'github:repository-id': '42', 'github:ref': 'refs/heads/main' },
    spiffeId: 'spiffe://example.org/github/deploy',
    grants: { jwt: { audiences: ['payments', 'cloud'], maxLifetimeSeconds: 300 } },
    maxSessionSeconds: 3600,
  })
  dir = await mkdtemp(join(tmpdir(), 'purser-front-door-'))
  await writeFile(join(dir, 'stand-in-ca.pem'), identities.ca)
})
afterAll(async () => {
  await purser.stop()
  await rm(dir, { recursive: true, force: true })
})

/** Requests two JWTs in turn, so two requests with a proof each; with a certificate, one request for all. */
const program = `import { connect } from '@purser/sdk'
try {
  const x509 = process.env.TEST_X509 === 'yes'
  const purser = await connect({ x509, jwts: x509 ? ['payments', 'cloud'] : ['payments'] })
  await purser.jwt('cloud')
  const { chosen, dismissed } = purser.chosen.find(({ about }) => about === 'proof')
  console.log(JSON.stringify({ spiffeId: purser.spiffeId, chosen, dismissed: dismissed.length }))
  purser.close()
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}`

async function run(env: Record<string, string>): Promise<Record<string, unknown>> {
  const child = spawn(process.execPath, sdkProgram(program), {
    env: {
      PATH: process.env.PATH,
      // The resolution that an administrator of the stand-ins' network would set up. The SDK has no option for it.
      NODE_EXTRA_CA_CERTS: join(dir, 'stand-in-ca.pem'),
      PURSER_ADDR: purser.url,
      PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
      PURSER_LOG_KEY: purser.vkeys.join(','),
      // On a machine of a cloud the test must not call that cloud.
      AWS_EC2_METADATA_DISABLED: 'true',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await once(child, 'close')
  return JSON.parse(output) as Record<string, unknown>
}

/** The runner's token service, which makes each token for the requested audience. */
async function tokenService(claims: Record<string, unknown>) {
  const { port, requests } = await httpsServer(identities.good, (request, response) => {
    const aud = new URL(request.url ?? '', 'https://runner').searchParams.get('audience')
    void github.token({ ...claims, aud }).then((value) => response.end(JSON.stringify({ value })))
  })
  const ACTIONS_ID_TOKEN_REQUEST_URL = `https://127.0.0.1:${port}/?api-version=2.0`
  const env = { GITHUB_ACTIONS: 'true', ACTIONS_ID_TOKEN_REQUEST_URL, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'bearer' }
  return { requests, env }
}

test('a GitHub job without the permission gets the advice to add it', async () => {
  const { code, message } = await run({ GITHUB_ACTIONS: 'true', METADATA_SERVER_DETECTION: 'none' })
  expect(code).toBe('no_proof')
  expect(message).toContain('`permissions: id-token: write`')
})

test('a GitHub job of another repository is refused, with the command for an operator', async () => {
  const { env } = await tokenService({ ...githubClaims, repository_id: '43' })
  expect(await run(env)).toEqual({
    code: 'attestation_failed',
    message: expect.stringMatching(/purser explain req_/),
  })
})

test('a GitHub job: each request has a token of its own, because each is accepted once', async () => {
  const { env, requests } = await tokenService(githubClaims)
  expect(await run(env)).toEqual({
    spiffeId: 'spiffe://example.org/github/deploy',
    chosen: 'a token of this GitHub Actions job (ACTIONS_ID_TOKEN_REQUEST_URL)',
    dismissed: 4,
  })
  expect(requests).toHaveLength(2)
})

test('a machine whose metadata server answers for another audience: the token is not sent', async () => {
  const wrong = await lab.token({ aud: 'somebody-else' })
  const { port } = await httpServer((_, response) => response.setHeader('metadata-flavor', 'Google').end(wrong))
  const size = (await purser.call('GET', '/log/1/checkpoint')).text.split('\n')[1]
  expect((await run({ GCE_METADATA_HOST: `127.0.0.1:${port}` })).code).toBe('wrong_audience')
  expect((await purser.call('GET', '/log/1/checkpoint')).text.split('\n')[1]).toBe(size)
})

test('a machine whose metadata server answers', async () => {
  const { port } = await httpServer((request, response) => {
    const aud = new URL(request.url ?? '', 'http://metadata').searchParams.get('audience')
    void lab.token({ aud }).then((token) => response.setHeader('metadata-flavor', 'Google').end(token))
  })
  expect(await run({ GCE_METADATA_HOST: `127.0.0.1:${port}` })).toMatchObject({
    spiffeId: 'spiffe://example.org/lab/web',
    chosen: "a token of this machine from Google's metadata server (GCE_METADATA_HOST)",
  })
})

test('a role of AWS, with an answer of STS', async () => {
  const sts = await httpsServer(identities.good, (_, response) => {
    const form = (token: string): string =>
      `<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetWebIdentityTokenResult><WebIdentityToken>${token}</WebIdentityToken><Expiration>2026-11-24T23:10:00Z</Expiration></GetWebIdentityTokenResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>`
    void lab.token().then((token) => response.end(form(token)))
  })
  const keys = { AWS_ACCESS_KEY_ID: 'ASIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret', AWS_SESSION_TOKEN: 'session' }
  const place = { AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL_STS: `https://127.0.0.1:${sts.port}` }
  expect(await run({ ...keys, ...place })).toMatchObject({
    spiffeId: 'spiffe://example.org/lab/web',
    chosen: 'a token of this AWS role by sts:GetWebIdentityToken (AWS_ACCESS_KEY_ID)',
  })
  expect(sts.requests[0]?.headers.authorization).toContain(
    '/eu-west-1/sts/aws4_request, SignedHeaders=content-type;host;',
  )
})

test('a join token, for as many requests as it has uses', async () => {
  const entry = {
    name: 'by-hand',
    attestor: 'join',
    spiffeId: 'spiffe://example.org/join/by-hand',
    grants: {
      x509: { dnsNames: [], maxLifetimeSeconds: 600 },
      jwt: { audiences: ['payments', 'cloud'], maxLifetimeSeconds: 300 },
    },
  }
  await purser.asAdmin('POST', '/api/v1/workloads', entry)
  const request = { workload: 'by-hand', lifetimeSeconds: 600, uses: 2 }
  const joinToken = (await purser.asAdmin('POST', '/api/v1/join-tokens', request)).body
  const env = { PURSER_JOIN_TOKEN: String(joinToken.token), METADATA_SERVER_DETECTION: 'none', TEST_X509: 'yes' }
  for (const _ of [1, 2]) {
    expect(await run(env)).toMatchObject({
      spiffeId: 'spiffe://example.org/join/by-hand',
      chosen: 'the join token in PURSER_JOIN_TOKEN',
    })
  }
  expect((await run(env)).code).toBe('attestation_failed')
})
