import { createPublicKey, createSecretKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { createCsr } from '../../sdk/src/certificates/csr.ts'
import { readCsr } from '../../src/issue/csr.ts'
import { openssl } from '../support/openssl.ts'
import { ecPair, edPair, rsaPair, spkiOf } from '../support/test-ca.ts'

test.each([
  ['EC-P256', ecPair()],
  ['EC-P384', ecPair('P-384')],
  ['Ed25519', edPair()],
  ['RSA', rsaPair(2048)],
  ['RSA', rsaPair(4096)],
])(
  'openssl and Purser read the request of an %s key, which holds only the key',
  (keyType, { privateKey, publicKey }) => {
    const pem = createCsr(privateKey)
    const verification = openssl(['req', '-verify', '-noout', '-subject', '-pubkey'], pem)
    expect(verification.output).toContain('self-signature verify OK')
    expect(verification.output).toMatch(/subject=\s*\n/)
    expect(verification.output).toContain(String(publicKey.export({ type: 'spki', format: 'pem' })))
    const verdict = readCsr(pem)
    expect(verdict.keyType).toBe(keyType)
    expect(verdict.spki.equals(spkiOf(publicKey))).toBe(true)
  },
)

test.each([
  ['P-521', ecPair('P-521').privateKey],
  ['secp256k1', ecPair('secp256k1').privateKey],
  ['a public key', ecPair().publicKey],
  ['a secret', createSecretKey(Buffer.alloc(32))],
])('%s is refused', (_, key) => {
  expect(() => createCsr(key)).toThrow(TypeError)
})

test('the request does not contain the private key', () => {
  const { privateKey } = ecPair()
  const secret = privateKey.export({ format: 'jwk' }).d ?? ''
  const der = Buffer.from(createCsr(privateKey).split('\n').slice(1, -2).join(''), 'base64')
  expect(der.includes(Buffer.from(secret, 'base64url'))).toBe(false)
  expect(der.includes(spkiOf(createPublicKey(privateKey)))).toBe(true)
})
