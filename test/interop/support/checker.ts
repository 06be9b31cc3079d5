// Calls the Go checker, which judges with go-spiffe, zlint, x/mod/sumdb/note and transparency-dev/merkle.

import { spawn } from 'node:child_process'
import { inject } from 'vitest'

/** The result of the library, or the reason of its refusal. */
export type Verdict<Read> = Read | { readonly error: string }

interface Checks {
  /** go-spiffe's x509svid.Parse, ParseRaw and Verify. `bundle` is a SPIFFE bundle document; `keyPem` PKCS #8; `at` RFC 3339. */
  x509svid: {
    asks: { certPem: string; keyPem: string; trustDomain: string; bundle: string; at?: string }
    reads: { id: string; notAfter: string; chainSize: number }
  }
  /** go-spiffe's jwtsvid.ParseAndValidate, with the keys of a SPIFFE bundle or of a plain JWKS document. */
  jwtsvid: {
    asks: { token: string; audience: string[]; trustDomain: string } & ({ bundle: string } | { jwks: string })
    reads: { id: string; audience: string[]; expiry: string; claims: Record<string, unknown> }
  }
  /** go-spiffe's spiffebundle.Parse. Authorities are SHA-256 of the DER in hexadecimal, and key ids. */
  bundle: {
    asks: { trustDomain: string; bundle: string }
    reads: {
      x509Authorities: string[]
      jwtAuthorities: string[]
      sequenceNumber: number | null
      refreshHintSeconds: number | null
    }
  }
  /** zlint over one certificate or CRL: every finding that isn't a pass. `sources` as zlint names them; all by default. */
  zlint: {
    asks: { pem: string; sources?: string[] }
    reads: { applied: number; findings: LintFinding[] }
  }
  /** Go's x509.ParseRevocationList and CheckSignatureFrom. Serial numbers in hexadecimal, critical extensions by OID. */
  crl: {
    asks: { pem: string; issuer: string }
    reads: { number: string; serials: string[]; critical: string[]; thisUpdate: string; nextUpdate: string }
  }
  /**
   * golang.org/x/mod/sumdb/note: at least one signature of a listed key is valid, and none of a listed key is
   * invalid.
   */
  note: {
    asks: { note: string; vkeys: string[] }
    reads: { text: string; verified: string[]; unverified: string[] }
  }
  /** transparency-dev/merkle. `leaf` is the hashed data; bytes are base64. */
  inclusion: {
    asks: { index: number; size: number; leaf: string; proof: string[]; root: string }
    reads: { proven: true }
  }
  consistency: {
    asks: { size1: number; size2: number; proof: string[]; root1: string; root2: string }
    reads: { proven: true }
  }
}

interface LintFinding {
  readonly lint: string
  readonly severity: 'notice' | 'warn' | 'error' | 'fatal'
  readonly source: string
  readonly description: string
  readonly citation: string
  readonly details: string
}

/**
 * Runs the checker once. @throws when the question itself could not be read, which is a mistake of the test
 */
export function check<Name extends keyof Checks>(
  name: Name,
  question: Checks[Name]['asks'],
): Promise<Verdict<Checks[Name]['reads']>> {
  return new Promise((resolve, reject) => {
    const child = spawn(inject('peers').checker, [name], { timeout: 20_000 })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.once('error', reject)
    child.once('close', (code) => {
      if (code !== 0) return reject(new Error(`checker ${name} ended with ${code}: ${stderr}`))
      const verdict: Verdict<Checks[Name]['reads']> = JSON.parse(stdout)
      resolve(verdict)
    })
    child.stdin.once('error', () => {}) // it ended before it read the question; 'close' tells why
    child.stdin.end(JSON.stringify(question))
  })
}
