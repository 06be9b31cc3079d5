/** A CA with name constraints (RFC 5280 section 4.2.1.10), and OpenSSL's verdict on leaves inside and outside. */
import { generateKeyPairSync } from 'node:crypto'
import { type Server, connect, createServer } from 'node:tls'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { readCsr } from '../../src/issue/csr.ts'
import { createX509Issuer } from '../../src/issue/x509-svid.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { createAsk, entryOf, fault } from '../support/operator.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { openIssuingCa } from '../support/own-ca.ts'
import { split } from '../support/published.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Svid, attest, newRequest, selfOf } from '../support/svid.ts'
import { newSerial, secondsFrom } from '../support/test-ca.ts'
import { upstreamCa } from '../support/upstream-ca.ts'

const constrained = { PURSER_CA_NAME_CONSTRAINTS: 'trust-domain', PURSER_CA_DNS_SUFFIXES: 'lab,corp.example' }

let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true, env: constrained })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(() => purser.stop())

/** The same database with other settings. */
async function replica(env: Record<string, string>): Promise<TestPurser> {
  const started = await startReplica(purser, { tls: true, env })
  onTestFinished(() => started.stop())
  return started
}

const register = (at: TestPurser, name: string, dnsName: string): Promise<Answer> =>
  createAsk(at)('createWorkload', {
    body: {
      name,
      attestor: 'lab',
      match: { 'oidc:sub': name },
      spiffeId: `spiffe://example.org/lab/${name}`,
      grants: { x509: { dnsNames: [dnsName] } },
    },
  })
const ask = async (at: TestPurser, sub: string): Promise<Answer> =>
  at.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: await issuer.token({ sub }) },
    x509: { csr: newRequest().csr },
  })

const permittedIn = (pem: string): string[] =>
  [...opensslOutput(['x509', '-noout', '-ext', 'nameConstraints'], pem).matchAll(/(critical)|((?:URI|DNS|IP):\S+)/g)]
    .map(([name]) => name)
    .sort()
const ownNames = [
  'DNS:corp.example',
  'DNS:lab',
  'DNS:localhost',
  'DNS:purser.example.org',
  'URI:example.org',
  'critical',
]

function verify(chain: string): { ok: boolean; output: string } {
  const file = scratch()
  const [leaf = '', ...above] = split(chain)
  const roots = ['-CAfile', file('root.pem', purser.roots), '-untrusted', file('above.pem', above.join(''))]
  return openssl(['verify', '-x509_strict', ...roots], leaf)
}

/** A leaf of our issuing key that violates Purser's rules. */
async function forged(trustDomain: string, dnsNames: string[]): Promise<string> {
  const ca = await openIssuingCa(purser)
  const { nameConstraints, ...unlimited } = ca.issuer
  expect(nameConstraints?.uri).toBe('example.org')
  const now = new Date()
  const { pem } = createX509Issuer({ trustDomain, issuer: unlimited, count: () => 1 }).issueSvid({
    key: readCsr(createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)),
    serial: newSerial(),
    now,
    notAfter: secondsFrom(now, 600),
    spiffeId: `spiffe://${trustDomain}/lab/web`,
    dnsNames,
  })
  return pem + ca.chain
}

describe('a leaf outside', () => {
  it.each([
    ['another trust domain', 'other.example', []],
    ['a trust domain below ours', 'a.example.org', []],
    ['another DNS name', 'example.org', ['web.other']],
    ['a DNS name that only ends alike', 'example.org', ['evillab']],
  ])('is refused by OpenSSL, although a key of Purser signed it: %s', async (_, trustDomain, dnsNames) => {
    const { ok, output } = verify(await forged(trustDomain, dnsNames))
    expect([ok, output]).toEqual([false, expect.stringContaining('permitted subtree violation')])
  })

  it('is refused only for its name', async () => {
    expect(verify(await forged('example.org', ['web.lab']))).toMatchObject({ ok: true })
  })

  it('is granted by no workload entry', async () => {
    for (const name of ['web.other', 'evillab', 'lab.other', 'x.localhost'])
      expect(fault(await register(purser, 'outside', name))).toBe('422 impossible /grants/x509/dnsNames/0')
  })

  it('is not issued under an earlier grant', async () => {
    const narrower = await replica({ ...constrained, PURSER_CA_DNS_SUFFIXES: 'corp.example' })
    const answer = await ask(narrower, 'web')
    expect(fault(answer)).toBe('403 not_granted /x509/dnsNames')
    expect(await entryOf(narrower, answer)).toMatchObject({ outcome: 'refused', actor: { attestor: 'lab' } })
  })
})

describe('a leaf inside', () => {
  it('verifies under CAs that both carry the constraints', async () => {
    expect(fault(await register(purser, 'corp', 'a.corp.example'))).toBe('201 ')
    expect(fault(await register(purser, 'suffix', 'lab'))).toBe('201 ')
    const { cert } = await attest(purser, issuer)
    expect(verify(cert)).toMatchObject({ ok: true })
    const [, issuing = ''] = split(cert)
    expect([permittedIn(issuing), permittedIn(purser.roots)]).toEqual([ownNames, ownNames])
  })

  it('is a caller over mTLS, at Purser under all its names and at another workload', async () => {
    const [client, web] = [await attest(purser, issuer), await attest(purser, issuer)]
    expect((await selfOf(purser, client)).status).toBe(200)
    const { port } = new URL(purser.url)
    for (const name of ['localhost', 'purser.example.org'])
      expect(await handshake(Number(port), name)).toBe('authorized')
    const server = await serve(web)
    const { port: other } = server.address() as { port: number }
    expect(await handshake(other, 'web.lab', client)).toBe('authorized')
    expect(await handshake(other, 'web.lab')).not.toBe('authorized')
  })
})

async function serve({ key, cert }: Svid): Promise<Server> {
  const options = { key, cert, ca: purser.roots, requestCert: true, rejectUnauthorized: true }
  const server = createServer(options, (socket) => socket.on('error', () => undefined).end('hello'))
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** `authorized` once the server has answered a byte, or its connection stands. */
const handshake = (port: number, servername: string, { key, cert }: Partial<Svid> = {}): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, servername, ca: purser.roots, key, cert })
    socket.once('error', (error) => resolve(error.message))
    socket.once('data', () => resolve('authorized'))
    socket.once('secureConnect', () => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'))
    socket.once('close', () => resolve('closed'))
  })

describe('wider settings', () => {
  const wider = {
    ...constrained,
    PURSER_CA_DNS_SUFFIXES: 'lab,corp.example,other',
    PURSER_TLS_NAMES: '127.0.0.1,a.example',
  }

  it('apply to keys that are created under them', async () => {
    const later = await replica(wider)
    expect(later.logs.join('')).toMatch(/constraints leave out a\.example.*server\.certificate_names/)
    expect(fault(await register(later, 'other', 'web.other'))).toBe('201 ')
    expect(fault(await ask(later, 'other'))).toBe('403 not_granted /x509/dnsNames')
    const rotated = await createAsk(later)('rotateKey', { name: 'ca', body: { level: 'root', compromised: true } })
    expect(fault(rotated)).toBe('200 ')
    await later.runJobs()
    const answer = await ask(later, 'other')
    expect(fault(answer)).toBe('200 ')
    const { certificateChain } = answer.body.x509 as { certificateChain: string }
    expect(permittedIn(split(certificateChain)[1] ?? '')).toEqual([
      'DNS:a.example',
      'DNS:corp.example',
      'DNS:lab',
      'DNS:other',
      'URI:example.org',
      'critical',
    ])
  })
})

describe('an issuing CA of an upstream CA', () => {
  const ca = [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign,cRLSign',
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
    'subjectAltName=URI:spiffe://example.org',
  ]
  const permitted = (...names: string[]): string => names.map((name) => `permitted;${name}`).join(',')
  const constraints = permitted(...ownNames.slice(0, -1))

  it('has the constraints of its request, and no others', async () => {
    const operator = createAsk(purser)
    const company = upstreamCa()
    const csr = String((await operator('createCaCsr', { body: {} })).body.csr)
    const text = opensslOutput(['req', '-noout', '-text'], csr)
    expect(text).toContain('X509v3 Name Constraints: critical')
    const take = async (extensions: string[]): Promise<string> => {
      const certificateChain = company.signed(csr, 'root', [...ca, ...extensions])
      return fault(await operator('importCaChain', { body: { certificateChain, trustBundle: company.root } }))
    }
    for (const extensions of [
      [],
      [`nameConstraints=${constraints}`],
      [`nameConstraints=critical,${constraints},${permitted('DNS:more.example')}`],
      [`nameConstraints=critical,${permitted('URI:example.org', 'DNS:lab')}`],
      [`nameConstraints=critical,${constraints.replace('URI:example.org', 'URI:.example.org')}`],
      [`nameConstraints=critical,${constraints},excluded;DNS:a.lab`],
      [`nameConstraints=critical,${constraints},${permitted('IP:10.0.0.0/255.0.0.0')}`],
    ]) {
      expect([extensions, await take(extensions)]).toEqual([extensions, '422 impossible'])
    }
    expect(await take([`nameConstraints=critical,${constraints}`])).toBe('200 ')
    const plain = await replica({})
    const { body } = await createAsk(plain)('createCaCsr', { body: {} })
    const certificateChain = company.signed(String(body.csr), 'root', [
      ...ca,
      `nameConstraints=critical,${constraints}`,
    ])
    const answer = await createAsk(plain)('importCaChain', { body: { certificateChain, trustBundle: company.root } })
    expect(fault(answer)).toBe('422 impossible')
  })
})
