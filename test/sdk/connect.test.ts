/** connect() against the real server, over TLS under its own CA. */
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, createServer } from 'node:tls'
import { type ConnectOptions, connect } from '@purser/sdk'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sdkProgram } from '../support/built-sdk.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { openssl, scratch } from '../support/openssl.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { failing } from './failing.ts'

let purser: TestPurser
let issuer: Issuer
let dir: string

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  dir = await mkdtemp(join(tmpdir(), 'purser-sdk-'))
})
afterAll(async () => {
  await purser.stop()
  await rm(dir, { recursive: true, force: true })
})

/** Configures everything by the environment, as in a container. */
const environment = (more: Record<string, string | undefined> = {}): Record<string, string | undefined> => ({
  PURSER_ADDR: purser.url,
  PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  PURSER_PROOF_FILE: join(dir, 'token'),
  PURSER_LOG_KEY: purser.vkeys.join(','),
  ...more,
})

async function connected(options: ConnectOptions = {}, env: Record<string, string | undefined> = {}) {
  await writeFile(join(dir, 'token'), `${await issuer.token()}\n`)
  return connect({ env: environment(env), ...options })
}

/** The number of entries in the log, which shows whether the server received a request. */
const logSize = async (): Promise<number> => Number((await purser.call('GET', '/log/1/checkpoint')).text.split('\n')[1])

describe('a proof', () => {
  test.each([
    ['of another audience', { aud: 'https://kubernetes.default.svc' }],
    ['of several others', { aud: ['sts.amazonaws.com', 'vault'] }],
    ['of none', { aud: undefined }],
    ['of a longer audience', { aud: `${audience}.evil.example` }],
  ])('%s is not sent', async (_, claims) => {
    const before = await logSize()
    const token = await issuer.token(claims)
    const error = await failing(connected({ proof: token }))
    expect(error.code).toBe('wrong_audience')
    expect(error.message).toContain(audience)
    expect(error.message).not.toContain(token)
    expect(await logSize()).toBe(before)
  })

  test.each([
    ['an API token', () => purser.admin],
    ['nothing', () => ' \n'],
    ['no JWT', () => 'aaa.bbb'],
    ['a JWT of no JSON', () => 'aaaa.bbbb.cccc'],
    ['too much', () => 'a'.repeat(20_000)],
  ])('that is %s is not sent', async (_, proof) => {
    const before = await logSize()
    expect((await failing(connected({ proof: proof() }))).code).toBe('bad_proof')
    expect(await logSize()).toBe(before)
  })

  test('for the audience that PURSER_AUDIENCE names is sent, and no other', async () => {
    const env = { PURSER_AUDIENCE: 'https://other.example' }
    expect((await failing(connected({}, env))).code).toBe('wrong_audience')
  })

  test('that is found nowhere: the error names what was tried', async () => {
    // On a machine of a cloud the test must not call that cloud.
    const nowhere = { AWS_EC2_METADATA_DISABLED: 'true', METADATA_SERVER_DETECTION: 'none' }
    const error = await failing(connected({}, { PURSER_PROOF_FILE: undefined, ...nowhere }))
    expect(error.code).toBe('no_proof')
    expect(error.message).toContain('PURSER_PROOF_FILE is not set')
    expect(error.message).toContain('/var/run/secrets/purser/token does not exist')
  })

  test('of a function is requested with the audiences of the verified server', async () => {
    const audiences: unknown[] = []
    const client = await connected({
      proof: (request) => {
        audiences.push(request.audiences)
        return issuer.token({ aud: request.audiences[0] })
      },
    })
    expect(audiences).toEqual([[audience]])
    client.close()
  })

  test.each([
    ['fails', () => Promise.reject(new Error('no network'))],
    ['gives no text', () => Promise.resolve(undefined as unknown as string)],
  ])('of a function that %s', async (_, proof) => {
    expect((await failing(connected({ proof }))).code).toBe('no_proof')
  })

  test('of a function that never answers ends at the deadline', async () => {
    const proof = (): Promise<string> => new Promise(() => undefined)
    expect((await failing(connected({ proof, timeoutMs: 200 }))).code).toBe('timeout')
  })

  test('that the server refuses: the error has status, request id and the command to run', async () => {
    const stranger = await createIssuer()
    const error = await failing(connected({ proof: await stranger.token() }))
    expect(error).toMatchObject({ code: 'attestation_failed', status: 401 })
    expect(error.requestId).toMatch(/^req_[0-9a-f]+$/)
    expect(error.message).toContain(`purser explain ${error.requestId ?? ''}`)
  })
})

describe('issued credentials', () => {
  test.each([
    ['PURSER_CA_FILE', () => ({})],
    [
      'PURSER_CA_SHA256',
      () => ({ PURSER_CA_FILE: undefined, PURSER_CA_SHA256: new X509Certificate(purser.roots).fingerprint256 }),
    ],
  ])('under %s: openssl accepts the certificate, and two clients talk mTLS', async (_, env) => {
    const [purser, two] = [await connected({}, env()), await connected({}, env())]
    const file = scratch()
    const [leaf = '', ...above] = purser.x509.certificateChain.split(/(?<=-----END CERTIFICATE-----\n)/)
    const args = [
      'verify',
      '-x509_strict',
      '-CAfile',
      file('root', purser.x509.trustBundle),
      '-untrusted',
      file('ca', above.join('')),
      file('leaf', leaf),
    ]
    expect(openssl(args).output).toContain(': OK')
    expect(new X509Certificate(leaf).subjectAltName).toContain('URI:spiffe://example.org/lab/web')
    expect(purser.x509.notAfter.getTime()).toBeGreaterThan(purser.x509.renewAfter.getTime())

    const server = createServer({
      key: purser.x509.privateKey,
      cert: purser.x509.certificateChain,
      ca: purser.x509.trustBundle,
      requestCert: true,
      rejectUnauthorized: true,
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const accepted = once(server, 'secureConnection')
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      key: two.x509.privateKey,
      cert: two.x509.certificateChain,
      ca: two.x509.trustBundle,
      servername: 'web.lab',
    })
    const [peer] = (await accepted) as [typeof socket]
    expect(peer.getPeerX509Certificate()?.serialNumber.toLowerCase()).toBe(two.x509.serialNumber)
    socket.destroy()
    server.close()
    purser.close()
    two.close()
  })

  test('are issued and recorded in one request', async () => {
    const before = await logSize()
    const client = await connected({ jwts: ['payments'], accessToken: true })
    expect(await logSize()).toBe(before + 1)
    expect(client.receipt).toMatchObject({ epoch: 1, index: before })
    const self = await purser.call('GET', '/api/v1/credentials/self', undefined, {
      token: client.accessToken?.token ?? '',
    })
    expect(self.body).toMatchObject({ spiffeId: client.spiffeId, session: { id: client.session.id } })
    // The JWT came along: no further request.
    await client.jwt('payments')
    expect(await logSize()).toBe(before + 1)
    client.close()
  })

  test('include a key of the server on request', async () => {
    const client = await connected({ x509: { generateKey: 'RSA-2048', lifetimeSeconds: 600, dnsNames: [] } })
    const leaf = new X509Certificate(client.x509.certificateChain)
    expect(leaf.publicKey.asymmetricKeyType).toBe('rsa')
    expect(leaf.subjectAltName).toBe('URI:spiffe://example.org/lab/web')
    client.close()
  })

  test('are refused as a whole when a JWT is not granted', async () => {
    const error = await failing(connected({ jwts: ['payments', 'bank'] }))
    expect(error).toMatchObject({ code: 'not_granted', status: 403, errors: [{ pointer: '/jwts/1/audience/0' }] })
  })

  test('show no secret when a client is logged', async () => {
    const client = await connected({ jwts: ['payments'], accessToken: true })
    const json = JSON.stringify({ client, chosen: client.chosen })
    for (const secret of ['PRIVATE KEY', 'purser_at_', await client.jwt('payments')]) expect(json).not.toContain(secret)
    client.close()
  })

  test('lack a certificate after connect({ x509: false })', async () => {
    const client = await connected({ x509: false, jwts: ['payments'] })
    expect(() => client.x509).toThrow(expect.objectContaining({ code: 'not_requested' }))
    client.close()
  })
})

describe('jwt()', () => {
  test('concurrent calls share a request, and the token is cached', async () => {
    const client = await connected({ x509: false, jwts: ['payments'] })
    const before = await logSize()
    const tokens = await Promise.all(Array.from({ length: 5 }, () => client.jwt('cloud')))
    expect(new Set(tokens).size).toBe(1)
    expect(await client.jwt('cloud')).toBe(tokens[0])
    expect(await logSize()).toBe(before + 1)
    expect(client.receipt?.consistency).toBeDefined()
    client.close()
  })

  test('a refusal is not cached and does not affect other callers', async () => {
    const client = await connected({ x509: false, jwts: ['payments'] })
    const [bad, good] = await Promise.allSettled([client.jwt('bank'), client.jwt('cloud')])
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'not_granted' } })
    expect(good.status).toBe('fulfilled')
    client.close()
  })

  test('an aborted caller does not affect the others', async () => {
    const client = await connected({ x509: false, jwts: ['payments'] })
    const controller = new AbortController()
    const gaveUp = client.jwt('cloud', { signal: controller.signal })
    const pending = client.jwt('cloud')
    controller.abort()
    expect((await failing(gaveUp)).code).toBe('aborted')
    expect(await pending).toMatch(/^ey/)
    client.close()
  })

  test('close() ends pending and later calls', async () => {
    const client = await connected({ x509: false, jwts: ['payments'] })
    const underWay = client.jwt('cloud')
    client.close()
    expect((await failing(underWay)).code).toBe('closed')
    expect((await failing(client.jwt('payments'))).code).toBe('closed')
  })
})

describe('the choice of a proof', () => {
  test('is reported, together with the sources that were skipped', async () => {
    const client = await connected()
    expect(client.chosen.map(({ about }) => about)).toEqual(['server', 'trust', 'proof', 'log key', 'audience'])
    expect(client.chosen[2]).toEqual({
      about: 'proof',
      chosen: `the file ${join(dir, 'token')} (PURSER_PROOF_FILE)`,
      dismissed: ['the option proof is not given'],
    })
    client.close()
  })

  test('several entries match: the caller names the workload', async () => {
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'web-too',
      attestor: 'lab',
      match: { 'oidc:sub': 'web', 'oidc:team': 'red' },
      spiffeId: 'spiffe://example.org/lab/web-too',
      grants: { x509: { dnsNames: [], maxLifetimeSeconds: 3600 } },
      maxSessionSeconds: 7200,
    })
    const proof = await issuer.token({ team: 'red' })
    const error = await failing(connected({ proof }))
    expect(error.code).toBe('several_workloads')
    expect(error.message).toMatch(/PURSER_WORKLOAD: web, web-too/)
    const client = await connected({ proof }, { PURSER_WORKLOAD: 'web-too' })
    expect(client.workload.name).toBe('web-too')
    client.close()
  })
})

test('a program that only connects ends by itself', async () => {
  await writeFile(join(dir, 'token'), await issuer.token())
  const program = `import { connect } from '@purser/sdk'
const { spiffeId, jwt } = await connect()
console.log(spiffeId, (await jwt('payments')).length > 100)`
  const child = spawn(process.execPath, sdkProgram(program), {
    env: { ...process.env, ...environment() },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  expect({ code, output }).toEqual({ code: 0, output: 'spiffe://example.org/lab/web true\n' })
})
