/** Verifiers compared with the RFC's example and with Postgres; quoted names of any text. */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { faultOfIdentifier, quoteIdentifier, quoteLiteral } from '../../src/secrets/databases/identifier.ts'
import { newPassword, scramVerifier, verifierWith } from '../../src/secrets/databases/scram.ts'

describe('a SCRAM-SHA-256 verifier', () => {
  // The exchange of RFC 7677, 3: password "pencil"; the server's signature over its messages is v=6rriTRBi….
  it('holds the keys that verify the example of RFC 7677', async () => {
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
    const verifier = await verifierWith('pencil', salt, 4096)
    const [, stored = '', server = ''] = /\$([^$:]+):([^:]+)$/.exec(verifier) ?? []
    const message =
      'n=user,r=rOprNGfwEbeRWgbNEkqO,' +
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,' +
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
    const signature = createHmac('sha256', Buffer.from(server, 'base64')).update(message).digest('base64')
    expect(signature).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
    // The client's proof opens the stored key: proof xor HMAC(StoredKey, message) is the client's key.
    const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64')
    const mask = createHmac('sha256', Buffer.from(stored, 'base64')).update(message).digest()
    const clientKey = Buffer.from(proof.map((byte, n) => byte ^ (mask[n] ?? 0)))
    expect(createHash('sha256').update(clientKey).digest('base64')).toBe(stored)
  })

  it('is new each time, in the format of Postgres', async () => {
    const password = newPassword(randomBytes)
    expect(password).toMatch(/^[\w-]{32}$/)
    const [first, second] = await Promise.all([
      scramVerifier(password, randomBytes),
      scramVerifier(password, randomBytes),
    ])
    expect(first).not.toBe(second)
    expect(first).toMatch(/^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/)
    expect(first).not.toContain(password)
  })

  it('refuses a password that needs preparation', async () => {
    for (const password of ['', 'a b', 'é', 'a\0', '\u00a0'])
      await expect(scramVerifier(password, randomBytes)).rejects.toThrow()
  })
})

describe('a quoted identifier', () => {
  it('reads back as the name, or is refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (name) => {
        if (faultOfIdentifier(name) !== undefined) {
          expect(() => quoteIdentifier(name)).toThrow()
          return
        }
        const quoted = quoteIdentifier(name)
        // As the server's scanner reads it: every quote inside is one of a pair.
        expect(/^"(?:[^"]|"")+"$/.test(quoted)).toBe(true)
        expect(quoted.slice(1, -1).replaceAll('""', '"')).toBe(name)
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63)
      }),
      { numRuns: 2000 },
    )
  })

  it('is no literal: those hold only plain ASCII', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        if (/^[\x20-\x26\x28-\x5b\x5d-\x7e]*$/.test(text)) expect(quoteLiteral(text)).toBe(`'${text}'`)
        else expect(() => quoteLiteral(text)).toThrow()
      }),
    )
  })
})
