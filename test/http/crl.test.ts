import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type IssuedCredentials, type Lab, createLab } from '../support/lab.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { type Ask, createAsk } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

type Key = { id: string; kind: string; state: string; certificateChain?: string }
const day = 24 * 3600

describe('GET /crl/{keyId}', () => {
  const clock = createClock()
  let purser: TestPurser
  let ask: Ask
  let lab: Lab

  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', now: clock.now })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
  })
  afterAll(() => purser.stop())

  const keys = async (): Promise<Key[]> => (await ask('listKeys', { query: { limit: '200' } })).body.items as Key[]
  const active = async (kind: string): Promise<Key> => {
    const key = (await keys()).find((key) => key.kind === kind && key.state === 'active')
    if (!key) throw new Error(`no ${kind}`)
    return key
  }
  async function crl(id: string): Promise<{ der: Buffer; pem: string }> {
    const response = await fetch(`${purser.url}/crl/${id}`)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/pkix-crl'])
    const der = Buffer.from(await response.arrayBuffer())
    const file = scratch()('crl.der', der)
    return { der, pem: opensslOutput(['crl', '-inform', 'DER', '-in', file]) }
  }
  const crlText = async (id: string): Promise<string> => opensslOutput(['crl', '-noout', '-text'], (await crl(id)).pem)
  const numberOf = async (id: string): Promise<bigint> => {
    const [, hex = ''] = opensslOutput(['crl', '-noout', '-crlnumber'], (await crl(id)).pem)
      .trim()
      .split('0x')
    return BigInt(`0x${hex}`)
  }

  /** The verdict of a verifier that reads the CRL of the leaf, or those of the whole chain. */
  async function verify(credentials: IssuedCredentials, depth: '-crl_check' | '-crl_check_all'): Promise<string> {
    const file = scratch()
    const [issuing, root] = [await active('issuing-ca'), await active('root-ca')]
    const crls = (await crl(issuing.id)).pem + (depth === '-crl_check_all' ? (await crl(root.id)).pem : '')
    const at = ['-attime', String(clock.seconds())]
    const roots = [
      '-CAfile',
      file('roots.pem', credentials.roots),
      '-untrusted',
      file('issuing.pem', credentials.issuing),
    ]
    const args = ['verify', '-x509_strict', ...at, ...roots, depth, '-CRLfile', file('crls.pem', crls)]
    return openssl([...args, file('leaf.pem', credentials.leaf)]).output
  }

  it('exists only for CA keys of Purser', async () => {
    const jwt = await active('jwt-es256')
    for (const id of ['nobody', jwt.id, (await active('log')).id]) {
      expect((await purser.call('GET', `/crl/${id}`)).status).toBe(404)
    }
  })

  it('is empty at first, for the issuing CA and the root, and their certificates name it', async () => {
    const credentials = await lab.get()
    const [issuing, root] = [await active('issuing-ca'), await active('root-ca')]
    expect(await crlText(issuing.id)).toContain('No Revoked Certificates.')
    expect(await crlText(root.id)).toContain('No Revoked Certificates.')
    const points = (pem: string): string => opensslOutput(['x509', '-noout', '-ext', 'crlDistributionPoints'], pem)
    expect(points(credentials.leaf)).toContain(`URI:https://purser.example.org/crl/${issuing.id}`)
    expect(points(credentials.issuing)).toContain(`URI:https://purser.example.org/crl/${root.id}`)
    expect(await verify(credentials, '-crl_check_all')).toContain('OK')
  })

  it('lists a revoked certificate at the next request, with its reason', async () => {
    const [stolen, other] = [await lab.get(), await lab.get()]
    const { id } = await active('issuing-ca')
    const before = await numberOf(id)
    await ask('createRevocation', { body: { serialNumber: stolen.serialNumber, reason: 'keyCompromise' } })
    const text = await crlText(id)
    expect(text).toContain(`Serial Number: ${stolen.serialNumber.toUpperCase()}`)
    expect(text).toContain('Key Compromise')
    expect(await numberOf(id)).toBeGreaterThan(before)
    expect(await verify(stolen, '-crl_check')).toContain('certificate revoked')
    expect(await verify(other, '-crl_check')).toContain('OK')
  })

  it('lists the certificates of a revoked session', async () => {
    const instance = { jti: 'crl-session' }
    const all = [await lab.get(instance), await lab.get(instance)]
    await ask('createRevocation', { body: { session: all[0]?.session } })
    for (const credentials of all) expect(await verify(credentials, '-crl_check')).toContain('certificate revoked')
  })

  it('is issued again with a new number as time passes, and is always current', async () => {
    const { id } = await active('issuing-ca')
    const before = await numberOf(id)
    clock.advance(301)
    expect(await numberOf(id)).toBeGreaterThan(before)
    expect(await verify(await lab.get(), '-crl_check_all')).toContain('OK')
    const response = await fetch(`${purser.url}/crl/${id}`)
    expect(response.headers.get('cache-control')).toBe('public, max-age=60')
  })

  it('of the root lists a withdrawn issuing CA', async () => {
    const credentials = await lab.get()
    const [issuing, root] = [await active('issuing-ca'), await active('root-ca')]
    await ask('rotateKey', { name: 'ca', body: { compromised: true } })
    expect((await purser.call('GET', `/crl/${issuing.id}`)).status).toBe(404)
    const text = await crlText(root.id)
    expect(text).toContain(`Serial Number: ${new X509Certificate(credentials.issuing).serialNumber}`)
    expect(text).toContain('CA Compromise')
    const file = scratch()
    const args = [
      'verify',
      '-attime',
      String(clock.seconds()),
      '-CAfile',
      file('roots.pem', credentials.roots),
      '-crl_check',
    ]
    const withRoot = [
      ...args,
      '-CRLfile',
      file('root.crl', (await crl(root.id)).pem),
      file('issuing.pem', credentials.issuing),
    ]
    expect(openssl(withRoot).output).toContain('certificate revoked')
    expect(await verify(await lab.get(), '-crl_check_all')).toContain('OK')
  })

  it('drops a certificate some time after it expires, and ends with the last certificate of its key', async () => {
    const credentials = await lab.get()
    const { id } = await active('issuing-ca')
    await ask('createRevocation', { body: { serialNumber: credentials.serialNumber } })
    clock.advance(3601)
    expect(await crlText(id)).toContain(credentials.serialNumber.toUpperCase())
    clock.advance(901)
    expect(await crlText(id)).not.toContain(credentials.serialNumber.toUpperCase())
    await ask('rotateKey', { name: 'ca' })
    clock.advance(7 * day)
    await crl(id)
    clock.advance(day)
    expect((await purser.call('GET', `/crl/${id}`)).status).toBe(404)
  })
})
