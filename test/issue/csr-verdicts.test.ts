import { describe, expect, test } from 'vitest'
import { createCsr } from '../../sdk/src/certificates/csr.ts'
import { CsrError, createCsrVerdicts } from '../../src/issue/csr.ts'
import { craftCsr, csrPem } from '../support/craft-csr.ts'
import { ecPair, spkiOf } from '../support/test-ca.ts'

const requests = Array.from({ length: 4 }, () => createCsr(ecPair().privateKey))

test('the same text gets the same verdict without another check', () => {
  const verdicts = createCsrVerdicts({ max: 10 })
  const first = verdicts.read(requests[0]!)
  expect(verdicts.read(requests[0]!)).toBe(first)
  expect(verdicts.read(requests[1]!).publicKeySha256).not.toBe(first.publicKeySha256)
})

test('a blocked key is refused although its verdict is cached, and accepted again after its release', () => {
  const verdicts = createCsrVerdicts({ max: 10 })
  const [pem] = requests
  expect(verdicts.read(pem!)).toBeDefined()
  expect(() => verdicts.read(pem!, () => true)).toThrow(expect.objectContaining({ reason: 'refused_key' }))
  expect(verdicts.read(pem!, () => false)).toBeDefined()
})

test('the least recently used verdict is dropped', () => {
  const verdicts = createCsrVerdicts({ max: 2 })
  const [a, b, c] = requests
  const first = verdicts.read(a!)
  const second = verdicts.read(b!)
  expect(verdicts.read(a!)).toBe(first)
  verdicts.read(c!)
  expect(verdicts.read(a!)).toBe(first)
  expect(verdicts.read(b!)).not.toBe(second)
})

describe('no verdict is cached of', () => {
  test('a forged request: it is refused each time, and so is the same key in another text', () => {
    const verdicts = createCsrVerdicts({ max: 10 })
    const forged = csrPem(craftCsr({ key: ecPair().privateKey, spki: spkiOf(ecPair().publicKey) }))
    for (const text of [forged, forged, forged.trimEnd()]) {
      expect(() => verdicts.read(text)).toThrow(expect.objectContaining({ reason: 'bad_signature' }))
    }
  })

  test('a refused request: strangers cannot evict valid ones', () => {
    const verdicts = createCsrVerdicts({ max: 1 })
    const good = verdicts.read(requests[0]!)
    for (let i = 0; i < 10; i++) expect(() => verdicts.read(`junk ${i}`)).toThrow(CsrError)
    expect(verdicts.read(requests[0]!)).toBe(good)
  })
})

test('a text beyond the limit is refused before it is hashed', () => {
  const verdicts = createCsrVerdicts({ max: 1 })
  expect(() => verdicts.read('A'.repeat(1 << 20))).toThrow(expect.objectContaining({ reason: 'too_large' }))
})
