import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { openssl, scratch } from '../support/openssl.ts'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import { bundleOf, rootsIn, split } from '../support/published.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { upstreamCa } from '../support/upstream-ca.ts'

type Key = { id: string; kind: string; state: string; algorithm?: string; certificateChain?: string; activeAt?: string }

const day = 24 * 3600
const ca = (pathLength: string): string[] => [
  `basicConstraints=critical,CA:TRUE${pathLength}`,
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
  'authorityKeyIdentifier=keyid',
]
const ours = [...ca(',pathlen:0'), 'subjectAltName=URI:spiffe://example.org']
const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256

describe('an issuing CA of an upstream CA', () => {
  // openssl's certificates are valid from the second of their creation.
  const clock = createClock(new Date(Date.now() + 60_000))
  let purser: TestPurser
  let ask: Ask
  let lab: Lab

  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', now: clock.now })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
  })
  afterAll(() => purser.stop())

  const passes = async (seconds: number): Promise<void> => {
    clock.advance(seconds)
    await purser.runJobs()
  }
  const request = async (): Promise<{ keyId: string; csr: string }> => {
    const answer = await ask('createCaCsr', { body: {} })
    expect(fault(answer)).toBe('201 ')
    return { keyId: String(answer.body.keyId), csr: String(answer.body.csr) }
  }
  const take = (certificateChain: string, trustBundle: string) =>
    ask('importCaChain', { body: { certificateChain, trustBundle } })
  const list = async (): Promise<Key[]> => (await ask('listKeys', { query: { limit: '200' } })).body.items as Key[]
  const stateOf = async (id: string): Promise<string | undefined> => (await list()).find((key) => key.id === id)?.state

  /** The number of issuing keys under a root of our own. */
  const ownCas = async (): Promise<number> =>
    (await readLog(purser)).filter((entry) => entry.action === 'key.create' && entry.resource?.name === 'issuing-ca')
      .length

  it('is requested with a key that signs nothing yet', async () => {
    const before = await lab.get()
    const { keyId, csr } = await request()
    expect(openssl(['req', '-verify', '-noout', '-text'], csr).output).toContain('URI:spiffe://example.org')
    expect(await stateOf(keyId)).toBe('requested')
    expect((await purser.call('GET', `/crl/${keyId}`)).status).toBe(404)
    await purser.runJobs()
    expect((await lab.get()).issuing).toBe(before.issuing)
  })

  it('is refused for any fault of its chain, and nothing changes', async () => {
    const before = rootsIn(await bundleOf(purser))
    const { csr } = await request()
    const [company, other] = [upstreamCa(), upstreamCa()]
    const good = company.signed(csr, 'root', ours)
    const foreign = company.intermediate('foreign', 'root', ca(''))
    for (const [chain, bundle] of [
      ['nonsense', company.root],
      [good, 'nonsense'],
      [good, other.root],
      [good, company.root + other.root],
      [foreign, company.root],
      [company.signed(csr, 'root', ca(',pathlen:0').slice(0, 1)), company.root],
      [company.signed(csr, 'root', [...ca(''), 'subjectAltName=URI:spiffe://another.example']), company.root],
      [company.signed(csr, 'root', ['basicConstraints=critical,CA:FALSE']), company.root],
    ] as const) {
      expect(fault(await take(chain, bundle))).toBe('422 impossible')
    }
    expect(fault(await take('', company.root))).toBe('400 invalid_request /certificateChain')
    expect(rootsIn(await bundleOf(purser))).toEqual(before)
  })

  it('signs once its root has been published for long enough, and leaves verify under the company’s root', async () => {
    const own = rootsIn(await bundleOf(purser))
    const company = upstreamCa({ key: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'] })
    const middle = company.intermediate('middle', 'root', ca(',pathlen:1'))
    const { keyId, csr } = await request()
    const chain = company.signed(csr, 'middle', ours) + middle
    const before = await lab.get()

    const answer = await take(chain, company.root)
    expect(fault(answer)).toBe('200 ')
    expect(answer.body).toMatchObject({ id: keyId, kind: 'issuing-ca', state: 'published', certificateChain: chain })
    expect(await entryOf(purser, answer)).toMatchObject({ action: 'key.import', resource: { id: keyId } })
    expect(rootsIn(await bundleOf(purser)).sort()).toEqual([...own, fingerprint(company.root)].sort())
    expect((await lab.get()).issuing).toBe(before.issuing)
    expect(fault(await take(chain, company.root))).toBe('422 impossible')

    await passes(day)
    const credentials = await lab.get()
    expect(split(credentials.chain).slice(1).join('')).toBe(chain)
    const file = scratch()
    const roots = ['-CAfile', file('roots.pem', company.root), '-untrusted', file('chain.pem', chain)]
    const at = ['-attime', String(clock.seconds())]
    const crl = Buffer.from(await (await fetch(`${purser.url}/crl/${keyId}`)).arrayBuffer())
    const crls = [
      '-crl_check',
      '-CRLfile',
      file('crl.pem', openssl(['crl', '-inform', 'DER', '-in', file('crl.der', crl)]).output),
    ]
    const args = ['verify', '-x509_strict', ...at, ...roots, ...crls, file('leaf.pem', credentials.leaf)]
    expect(openssl(args).output).toContain('OK')
    // Our own root is removed with the last certificate under it, and no issuing key of ours follows.
    await passes(9 * day)
    expect(rootsIn(await bundleOf(purser))).toEqual([fingerprint(company.root)])
    expect(
      (await list()).filter((key) => key.kind === 'issuing-ca' && key.state === 'active').map((key) => key.id),
    ).toEqual([keyId])
    expect(fault(await ask('rotateKey', { name: 'ca' }))).toBe('422 impossible')
  })

  it('is renewed under the same root without waiting, and under an earlier root with a higher sequence', async () => {
    const bundle = await bundleOf(purser)
    const old = await lab.get()
    const newCa = upstreamCa()
    const first = await request()
    await take(newCa.signed(first.csr, 'root', ours), newCa.root)
    const second = await request()
    const answer = await take(newCa.signed(second.csr, 'root', ours), newCa.root)
    expect(answer.body).toMatchObject({ id: second.keyId, state: 'published' })
    await passes(day)
    expect(new X509Certificate((await lab.get()).issuing).checkIssued(new X509Certificate(newCa.root))).toBe(true)
    const third = await request()
    const at = await take(newCa.signed(third.csr, 'root', ours), newCa.root)
    expect(at.body.state).toBe('active')
    expect((await lab.get()).issuing).not.toBe(old.issuing)
    expect((await bundleOf(purser)).spiffe_sequence).toBe(bundle.spiffe_sequence + 1)
  })

  it('is replaced by a root of Purser on the request of an operator', async () => {
    clock.advance(1)
    const answer = await ask('rotateKey', { name: 'ca', body: { level: 'root', compromised: true } })
    expect(fault(answer)).toBe('200 ')
    const [root] = answer.body.created as Key[]
    expect(rootsIn(await bundleOf(purser))).toEqual([fingerprint(root?.certificateChain ?? '')])
    expect((await lab.get()).roots).toBe(root?.certificateChain)
    await passes(6 * day)
    const scheduled = await ownCas()
    await passes(day)
    expect([scheduled, await ownCas()]).toEqual([3, 3])
    await lab.get()
  })

  it('warns before its chain expires, and stops issuing when it expires', async () => {
    const { csr } = await request()
    const short = upstreamCa()
    await take(short.signed(csr, 'root', ours), short.root)
    await passes(day)
    const before = await ownCas()
    // openssl's 50 days, 19 of which have passed; it signs until a day before the end.
    await passes(28 * day)
    expect(purser.logs.join('')).toContain('key.chain_ends')
    await lab.get()
    await passes(4 * day)
    const answer = await lab.ask({}, { x509: { generateKey: 'EC-P256' } })
    expect(fault(answer)).toBe('503 unavailable')
    expect((await lab.ask({}, { jwts: [{ audience: ['payments'] }] })).status).toBe(200)
    expect(await ownCas()).toBe(before)
  })
})
