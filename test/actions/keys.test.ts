import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'
import { upstreamCa } from '../support/upstream-ca.ts'

describe('key actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  it('rotate the JWT keys and withdraw a compromised issuing CA, whose serial the CRL of its root then lists', async () => {
    const { keys } = purser.actions
    const context = purser.context()
    const rotate = (kind: 'jwt' | 'ca' | 'log', compromised = false) =>
      purser.change('key.create', context, (tx, snapshot) => keys.rotate(context, tx, snapshot, { kind, compromised }))
    const jwt = await rotate('jwt')
    expect(jwt.result.created.map((row) => row.kind)).toEqual(['jwt-es256', 'jwt-rs256'])
    expect(jwt.entry).toMatchObject({ action: 'key.create', resource: { kind: 'key', name: 'jwt-es256' } })
    await expect(rotate('jwt')).rejects.toMatchObject({ code: 'impossible' })

    const ca = await rotate('ca', true)
    const [withdrawn] = ca.result.withdrawn
    expect(ca.result.created.map((row) => row.kind)).toEqual(['issuing-ca'])
    const crl = await keys.crl(purser.snapshot(), { keyId: withdrawn?.issuerKeyId ?? '' }, purser.now())
    const { der } = await crl.read()
    const serial = new X509Certificate(withdrawn?.chain ?? '').serialNumber
    expect(der.toString('hex').toUpperCase()).toContain(serial)
    await expect(keys.crl(purser.snapshot(), { keyId: withdrawn?.id ?? '' }, purser.now())).rejects.toThrow()

    const { keys: rows } = await keys.list(context, purser.snapshot())
    expect(rows.map((row) => row.id)).toEqual(expect.arrayContaining(jwt.result.created.map((row) => row.id)))
  })

  it('rotate the keyring', async () => {
    const { keys } = purser.actions
    const context = purser.context()
    const before = await keys.list(context, purser.snapshot())
    const { result, entry } = await purser.change('key.create', context, (tx, snapshot) =>
      keys.rotateKeyring(context, tx, snapshot),
    )
    expect(result.replaced.map((row) => row.id)).toEqual([before.current])
    expect(entry).toMatchObject({ action: 'key.rewrap', resource: { id: result.created.id, name: 'keyring' } })
  })

  it('request a certificate from an upstream CA and import its chain', async () => {
    const { keys } = purser.actions
    const context = purser.context()
    const requested = await purser.change('key.csr', context, (tx) => keys.csr(context, tx))
    const { keyId, csr } = requested.result
    expect(requested.entry).toMatchObject({ action: 'key.csr', resource: { id: keyId }, change: { after: { csr } } })

    const upstream = upstreamCa()
    const certificateChain = upstream.signed(csr, 'root', [
      'basicConstraints=critical,CA:TRUE,pathlen:0',
      'keyUsage=critical,keyCertSign,cRLSign',
      'subjectAltName=URI:spiffe://example.org',
    ])
    // A request of its own: the certificate is valid from the time of signing.
    const importCa = (trustBundle: string) => {
      const importing = purser.context()
      return purser.change('key.import', importing, (tx, snapshot) =>
        keys.import(importing, tx, snapshot, { certificateChain, trustBundle }),
      )
    }
    await expect(importCa(certificateChain)).rejects.toMatchObject({ code: 'impossible' })
    const imported = await importCa(upstream.root)
    expect(imported.result.id).toBe(keyId)
    expect(imported.entry).toMatchObject({ action: 'key.import', resource: { id: keyId, name: 'issuing-ca' } })
  })
})
