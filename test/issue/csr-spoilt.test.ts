import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CsrError, readCsr } from '../../src/issue/csr.ts'
import { context, oid, sequence, set, utf8 } from '../../src/keys/asn1.ts'
import { craftCsr, csrPem, ed25519, rsaSha256 } from '../support/craft-csr.ts'
import { ecPair, edPair, rsaPair } from '../support/test-ca.ts'

const ec = ecPair()
const rsa = rsaPair()
const ed = edPair()

describe('mutated requests', () => {
  const samples = [
    craftCsr({ key: ec.privateKey }),
    craftCsr({ key: rsa.privateKey, algorithm: rsaSha256() }),
    craftCsr({ key: ed.privateKey, algorithm: ed25519(), digest: null }),
    craftCsr({
      key: ec.privateKey,
      subject: sequence([set([sequence([oid('2.5.4.3'), utf8('web')])])]),
      attributes: [context(0, [sequence([oid('1.2.840.113549.1.9.14'), set([sequence([])])])])],
    }),
  ].map((der) => ({ der, sha256: readCsr(csrPem(der)).publicKeySha256 }))

  const edits = fc.array(
    fc.record({ at: fc.nat(), kind: fc.constantFrom('set', 'insert', 'delete', 'flip'), byte: fc.nat(255) }),
    { minLength: 1, maxLength: 3 },
  )

  /** Refused as a CsrError, or accepted with the key that was signed. */
  function holds(pem: string, sha256: string): void {
    try {
      expect(readCsr(pem).publicKeySha256).toBe(sha256)
    } catch (error) {
      expect(error).toBeInstanceOf(CsrError)
    }
  }

  test('in their bytes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...samples), edits, ({ der, sha256 }, list) =>
        holds(csrPem(spoil(der, list)), sha256),
      ),
      { numRuns: 3000 },
    )
  })

  test('in their text', () => {
    fc.assert(
      fc.property(fc.constantFrom(...samples), edits, ({ der, sha256 }, list) => {
        holds(spoil(Buffer.from(csrPem(der)), list).toString('latin1'), sha256)
      }),
      { numRuns: 1000 },
    )
  })

  test('any text at all', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => holds(text, '')),
      { numRuns: 300 },
    )
  })
})

function spoil(bytes: Buffer, list: { at: number; kind: string; byte: number }[]): Buffer {
  let mutation = Buffer.from(bytes)
  for (const { at, kind, byte } of list) {
    const i = at % mutation.length
    if (kind === 'set') mutation[i] = byte
    else if (kind === 'flip') mutation[i]! ^= 1 << (byte % 8)
    else {
      const added = kind === 'insert' ? Buffer.of(byte) : Buffer.alloc(0)
      mutation = Buffer.concat([mutation.subarray(0, i), added, mutation.subarray(kind === 'insert' ? i : i + 1)])
    }
  }
  return mutation
}
