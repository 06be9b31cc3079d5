/** Certificates that a fake server presents: the right one and those of other parties. */
import { createCsr } from '@purser/sdk/csr'
import { readCsr } from '../../src/issue/csr.ts'
import { type X509Issuer, createX509Issuer } from '../../src/issue/x509-svid.ts'
import { createSigner } from '../../src/keys/signer.ts'
import { type TestCa, ecPair, newSerial, secondsFrom, testCa } from '../support/test-ca.ts'

export type Identity = { cert: string; key: string }

const hour = 3600
const localNames = ['127.0.0.1', 'localhost']

const issuerOf = ({ trustDomain, issuing }: TestCa): X509Issuer =>
  createX509Issuer({ trustDomain, issuer: issuing, count: () => 1 })

type IdentityOptions = { names?: string[]; now?: Date; notAfter?: Date; svid?: string }

/** A leaf with its key, followed by the certificates that are appended. */
function identityUnder(issuer: X509Issuer, appended: string, options: IdentityOptions = {}): Identity {
  const { privateKey } = ecPair()
  const { names = localNames, now = new Date(), notAfter = secondsFrom(now, hour), svid } = options
  const leaf = { key: readCsr(createCsr(privateKey)), serial: newSerial(), now, notAfter }
  const { pem } =
    svid === undefined
      ? issuer.issueServerCertificate({ ...leaf, names })
      : issuer.issueSvid({ ...leaf, spiffeId: svid, dnsNames: names })
  return { cert: pem + appended, key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}

export function createIdentities() {
  const now = new Date()
  // The CA is old enough to have issued certificates that have expired.
  const ca = testCa(secondsFrom(now, -2 * hour))
  const other = testCa(now)
  const chain = ca.issuing.pem + ca.root.pem
  const issuer = issuerOf(ca)
  const stranger = issuerOf(other)
  // The certificate claims to be signed by our issuing CA. It is not.
  const forger = createX509Issuer({
    trustDomain: ca.trustDomain,
    issuer: { ...ca.issuing, signer: createSigner(ecPair().privateKey) },
    count: () => 1,
  })
  return {
    ca,
    issuer,
    good: identityUnder(issuer, chain),
    wrongRoot: identityUnder(stranger, other.issuing.pem + other.root.pem),
    /** The attacker's own leaf with our public root appended: a check of the fingerprint alone would accept it. */
    rootAppended: identityUnder(stranger, ca.root.pem),
    forgedIssuer: identityUnder(forger, chain),
    otherName: identityUnder(issuer, chain, { names: ['elsewhere.test'] }),
    expired: identityUnder(issuer, chain, { now: secondsFrom(now, -hour), notAfter: secondsFrom(now, -60) }),
    /** A workload of the same trust domain whose certificate has the server's name. */
    workload: identityUnder(issuer, chain, { names: ['localhost'], svid: 'spiffe://example.org/lab/purser/server' }),
  }
}
