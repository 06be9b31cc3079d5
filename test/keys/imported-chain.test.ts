import { describe, expect, test } from 'vitest'
import { buildCaCsr } from '../../src/keys/ca-certificates.ts'
import { createIssuer } from '../../src/keys/certificate.ts'
import { ImportedChainError, checkImportedChain } from '../../src/keys/imported-chain.ts'
import { openssl, scratch } from '../support/openssl.ts'
import { type KeyPair, ecPair, secondsFrom, testCa } from '../support/test-ca.ts'
import { upstreamCa } from '../support/upstream-ca.ts'

// openssl sets the start to the current second, so the test looks a little later.
const now = secondsFrom(new Date(), 60)
const trustDomain = 'example.org'

const keyIds = ['subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid']
const ca = (pathLength: string): string[] => [
  `basicConstraints=critical,CA:TRUE${pathLength}`,
  'keyUsage=critical,keyCertSign,cRLSign',
  ...keyIds,
]
const ours = [...ca(',pathlen:0'), `subjectAltName=URI:spiffe://${trustDomain}`]

const keys = ecPair()
const csr = buildCaCsr({ trustDomain, keys }).pem
const check = (pem: string, at = now, pair: KeyPair = keys) =>
  checkImportedChain({ pem, publicKey: pair.publicKey, trustDomain, now: at })

describe('accepted chains', () => {
  test('signed by the root itself: leaves verify under it', () => {
    const { root, signed } = upstreamCa()
    const issuing = signed(csr, 'root', ours)
    const imported = check(issuing + root)
    expect(imported).toMatchObject({ chain: issuing, root })
    const issuer = createIssuer({ pem: imported.chain, privateKey: keys.privateKey })
    expect(imported.notAfter).toEqual(issuer.notAfter)
    const rootFile = scratch()('root.pem', root)
    expect(openssl(['verify', '-x509_strict', '-CAfile', rootFile], imported.chain).ok).toBe(true)
  })

  test('through an intermediate, without a SAN; the chain leaves the root out', () => {
    const { root, signed, intermediate } = upstreamCa()
    const middle = intermediate('middle', 'root', ca(',pathlen:1'))
    const issuing = signed(csr, 'middle', ca(''))
    expect(check(issuing + middle + root).chain).toBe(issuing + middle)
  })

  test('from a Purser root, with the line ends of Windows', () => {
    const rootKeys = ecPair()
    const { root, issuing } = testCa(now, { rootKeys, issuingKeys: keys })
    expect(check((issuing.pem + root.pem).replaceAll('\n', '\r\n')).root).toBe(root.pem)
  })
})

const refused = (pem: string, words: RegExp, at = now, pair = keys): void => {
  expect(() => check(pem, at, pair)).toThrow(ImportedChainError)
  expect(() => check(pem, at, pair)).toThrow(words)
}

describe('refused texts', () => {
  const { root, issuing } = testCa(now, { issuingKeys: keys })

  test.each([
    ['nothing', ''],
    ['no PEM', 'hello'],
    ['another label', csr],
    ['text between', `${issuing.pem}\nsubject=/CN=x\n${root.pem}`],
    ['nine certificates', issuing.pem.repeat(8) + root.pem],
    ['no certificate inside', issuing.pem.replaceAll(/^[^-]+$/gm, 'AAAA') + root.pem],
  ])('%s', (_, pem) => refused(pem, /not a chain|must hold/))

  test('a private key among it', () => {
    refused(issuing.pem + String(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })) + root.pem, /not a chain/)
  })
  test('only our CA', () => refused(issuing.pem, /must hold/))
  test('only the root', () => refused(root.pem, /must hold/))
  test('the reversed order', () => refused(root.pem + issuing.pem, /not for the key/))
  test('the root twice', () => refused(root.pem + root.pem, /not for the key/))
  test('another key', () => refused(issuing.pem + root.pem, /not for the key/, now, ecPair()))
  test('another root', () => refused(issuing.pem + testCa(now).root.pem, /not signed by certificate 2/))
  test('no root at the end', () => {
    const { signed, intermediate } = upstreamCa()
    const middle = intermediate('middle', 'root', ca(''))
    refused(signed(csr, 'middle', ours) + middle, /certificate 2 is not a self-signed root/)
  })
  test('a certificate in the middle that is no CA', () => {
    refused(issuing.pem + testCa(now).root.pem + root.pem, /allows|not signed by/)
  })
})

describe('refused certificates', () => {
  test.each<[string, string[], RegExp]>([
    ['not a CA', ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature', ...keyIds], /not a CA/],
    ['no basic constraints', ['keyUsage=critical,keyCertSign,cRLSign', ...keyIds], /not a CA/],
    [
      'may not sign certificates',
      ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,cRLSign', ...keyIds],
      /not a CA|may not sign/,
    ],
    [
      'may not sign CRLs',
      ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign', ...keyIds],
      /sign CRLs/,
    ],
    ['no key usage', ['basicConstraints=critical,CA:TRUE', ...keyIds], /may not sign certificates/],
    ['an EKU', [...ours, 'extendedKeyUsage=serverAuth,clientAuth'], /extended key usage/],
    ['name constraints', [...ours, 'nameConstraints=critical,permitted;URI:.example.com'], /name constraints/],
    ['another critical extension', [...ours, '1.2.3.4=critical,DER:0500'], /critical extension/],
    ['another trust domain', [...ca(''), 'subjectAltName=URI:spiffe://other.org'], /something other/],
    ['an identity', [...ca(''), `subjectAltName=URI:spiffe://${trustDomain}/web`], /something other/],
    [
      'two URIs',
      [...ours.slice(0, -1), `subjectAltName=URI:spiffe://${trustDomain},URI:spiffe://b.org`],
      /something other/,
    ],
    ['no key identifier', [...ca('').slice(0, 2), 'subjectKeyIdentifier=none'], /key identifier/],
  ])('%s', (_, extensions, words) => {
    const { root, signed } = upstreamCa()
    refused(signed(csr, 'root', extensions) + root, words)
  })

  function byRsa(bits: number, digest: string): string {
    const { root, signed } = upstreamCa({ key: ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`], digest })
    return signed(csr, 'root', ours) + root
  }

  test('a SHA-1 signature', () => refused(byRsa(2048, '-sha1'), /algorithm that verifiers refuse/))
  test('a weak RSA key above ours', () => refused(byRsa(1024, '-sha256'), /weak RSA key/))

  test('an exhausted path length', () => {
    const { root, signed, intermediate } = upstreamCa()
    const middle = intermediate('short', 'root', ca(',pathlen:0'))
    refused(signed(csr, 'short', ours) + middle + root, /certificate 2 allows 0 CAs below it, the chain has 1/)
  })

  test('not yet valid, or expired', () => {
    const { root, signed } = upstreamCa()
    const chain = signed(csr, 'root', ours) + root
    refused(chain, /our issuing CA is not valid now/, secondsFrom(now, -3600))
    refused(chain, /our issuing CA is not valid now/, secondsFrom(now, 51 * 86_400))
  })

  test('a changed signature', () => {
    const { root, signed } = upstreamCa()
    const lines = signed(csr, 'root', ours).split('\n')
    const at = lines.length - 4
    lines[at] = `${lines[at]!.slice(0, 8)}${lines[at]![8] === 'A' ? 'B' : 'A'}${lines[at]!.slice(9)}`
    refused(lines.join('\n') + root, /not signed by|not a chain|cannot be read/)
  })
})
