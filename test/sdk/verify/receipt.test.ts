import { generateKeyPairSync, randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalize,
  commitment,
  consistencyProofOf,
  createNoteSigner,
  EMPTY_ROOT,
  entryLeaf,
  formatProof,
  inclusionProofOf,
  parseProof,
  rootOf,
  signCheckpoint,
  VerifyError,
  verifyReceipt,
  type Receipt,
} from '@purser/sdk/verify'

const fails = (code: string) => expect.objectContaining({ name: 'VerifyError', code })
const origin = 'prod.example/log/1'
const log = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
const vkeys = [log.vkey]

const entries = Array.from({ length: 21 }, (_, i) => ({
  entry: canonicalize({ action: 'credentials.issue', requestId: `req_${i}`, v: 1 }),
  nonce: randomBytes(32).toString('base64'),
}))
const leaves = entries.map(({ entry, nonce }) => entryLeaf(nonce, entry))
const head = (size: number) => ({ size, root: rootOf(leaves.slice(0, size)) })

function receiptOf(index: number, size: number, since?: number): Receipt {
  const { entry, nonce } = entries[index] ?? { entry: '', nonce: '' }
  const checkpoint = signCheckpoint(origin, size, head(size).root, [log])
  const proof = formatProof({ index, hashes: inclusionProofOf(leaves, index, size), checkpoint })
  const consistency =
    since === undefined
      ? {}
      : { consistency: consistencyProofOf(leaves, since, size).map((bytes) => bytes.toString('base64')) }
  return { epoch: 1, index, entry, nonce, proof, ...consistency }
}

const receipt = receiptOf(7, 20, 13)

describe('a receipt', () => {
  it('verifies with growth since a stored head, and returns entry and checkpoint', () => {
    const verified = verifyReceipt(receipt, { vkeys, origin, since: { origin, ...head(13) } })
    expect(verified).toMatchObject({ epoch: 1, index: 7, checkpoint: { origin, ...head(20) } })
    expect(verified.entry).toEqual({ action: 'credentials.issue', requestId: 'req_7', v: 1 })
    const base64 = { size: 13, root: head(13).root.toString('base64') }
    expect(verifyReceipt(receipt, { vkeys, since: base64 }).index).toBe(7)
  })

  it('verifies for every index and size of a small log, since every earlier size', () => {
    let count = 0
    for (let size = 1; size <= 9; size++) {
      for (let since = 1; since <= size; since++) {
        const index = since - 1
        verifyReceipt(receiptOf(index, size, since), { vkeys, since: head(since) })
        count += 1
      }
    }
    expect(count).toBe(45)
  })

  it.each([
    ['nothing', undefined, 'bad_receipt'],
    ['text', 'receipt', 'bad_receipt'],
    ['an index in text', { ...receipt, index: '7' }, 'bad_receipt'],
    ['no nonce', { ...receipt, nonce: undefined }, 'bad_receipt'],
    ['consistency that is text', { ...receipt, consistency: 'x' }, 'bad_receipt'],
    ['consistency of numbers', { ...receipt, consistency: [1] }, 'bad_receipt'],
    ['another index', { ...receipt, index: 8 }, 'index_mismatch'],
    ['another epoch', { ...receipt, epoch: 2 }, 'origin_mismatch'],
    ['an epoch that ends alike', { ...receipt, epoch: 11 }, 'origin_mismatch'],
    ['a fraction of an epoch', { ...receipt, epoch: 0.1 }, 'origin_mismatch'],
    ['another entry', { ...receipt, entry: entries[8]?.entry }, 'bad_inclusion'],
    ['an edited entry', { ...receipt, entry: receipt.entry.replace('req_7', 'req_9') }, 'bad_inclusion'],
    ['the entry with a space', { ...receipt, entry: receipt.entry.replace(':', ': ') }, 'not_canonical'],
    ['an entry that is not an object', { ...receipt, entry: '[]' }, 'not_canonical'],
    ['another nonce', { ...receipt, nonce: entries[8]?.nonce }, 'bad_inclusion'],
    ['a nonce of 33 bytes', { ...receipt, nonce: Buffer.alloc(33).toString('base64') }, 'bad_commitment'],
    ['a nonce without padding', { ...receipt, nonce: receipt.nonce.replaceAll('=', '') }, 'bad_commitment'],
    ['an edited size', { ...receipt, proof: receipt.proof.replace('\n20\n', '\n21\n') }, 'bad_signature'],
    [
      'a proof without checkpoint',
      { ...receipt, proof: receipt.proof.slice(0, receipt.proof.indexOf('\n\n') + 2) },
      'bad_note',
    ],
    ['an entry of 2 MiB', { ...receipt, entry: 'x'.repeat(2 ** 21) }, 'bad_receipt'],
  ])('is refused when it is %s', (_, bad, code) => {
    expect(() => verifyReceipt(bad, { vkeys, since: head(13) })).toThrow(fails(code))
  })

  it('is refused when it is of another log, or its key is unknown', () => {
    expect(() => verifyReceipt(receipt, { vkeys, origin: 'test.example/log/1' })).toThrow(fails('origin_mismatch'))
    const other = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
    expect(() => verifyReceipt(receipt, { vkeys: [other.vkey] })).toThrow(fails('bad_signature'))
    expect(() => verifyReceipt(receipt, { vkeys: ['x'] })).toThrow(fails('bad_key'))
  })

  it('is refused when it does not prove growth since the stored head', () => {
    const { consistency = [], ...bare } = receipt
    const since = head(13)
    expect(() => verifyReceipt(bare, { vkeys, since })).toThrow(fails('bad_consistency'))
    const reversed = { ...receipt, consistency: consistency.toReversed() }
    expect(() => verifyReceipt(reversed, { vkeys, since })).toThrow(fails('bad_consistency'))
    const forked = { size: 13, root: head(12).root }
    expect(() => verifyReceipt(receipt, { vkeys, since: forked })).toThrow(fails('bad_consistency'))
    expect(() => verifyReceipt(receipt, { vkeys, since: head(12) })).toThrow(fails('bad_consistency'))
    expect(() => verifyReceipt(receipt, { vkeys, since: { size: 13, root: '!' } })).toThrow(fails('bad_consistency'))
  })

  it('is refused when the log is shorter than the stored head, or of another epoch', () => {
    expect(() => verifyReceipt(receipt, { vkeys, since: head(21) })).toThrow(fails('log_shrank'))
    const older = { origin: 'prod.example/log/0', ...head(13) }
    expect(() => verifyReceipt(receipt, { vkeys, since: older })).toThrow(fails('origin_mismatch'))
  })

  it('needs no proof of growth from the empty log, and accepts only an empty one', () => {
    const empty = { size: 0, root: EMPTY_ROOT }
    const { consistency: _, ...bare } = receipt
    expect(verifyReceipt(bare, { vkeys, since: empty }).index).toBe(7)
    expect(() => verifyReceipt(receipt, { vkeys, since: empty })).toThrow(fails('bad_consistency'))
    expect(() => verifyReceipt(bare, { vkeys, since: head(0.5) })).toThrow(VerifyError)
  })

  it('with any character changed is refused, or is the same receipt', () => {
    const fields = fc.constantFrom('entry', 'nonce', 'proof')
    fc.assert(
      fc.property(fields, fc.nat(10_000), fc.string({ minLength: 1, maxLength: 1 }), (field, place, letter) => {
        const text = receipt[field]
        const at = place % text.length
        const bad = { ...receipt, [field]: text.slice(0, at) + letter + text.slice(at + 1) }
        if (bad[field] === text) return
        expect(() => verifyReceipt(bad, { vkeys })).toThrow(VerifyError)
      }),
      { numRuns: 400 },
    )
  })

  it('made of garbage throws nothing but VerifyError', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (a, b) => {
        expect(() => verifyReceipt(a, { vkeys })).toThrow(VerifyError)
        expect(() => verifyReceipt({ ...receipt, proof: b, consistency: a }, { vkeys })).toThrow(VerifyError)
      }),
    )
  })
})

describe('parseProof', () => {
  const hash = EMPTY_ROOT.toString('base64')
  it.each([
    ['no blank line', `c2sp.org/tlog-proof@v1\nindex 1\n${hash}\n`],
    ['another version', `c2sp.org/tlog-proof@v2\nindex 1\n\nx`],
    ['no index', `c2sp.org/tlog-proof@v1\n${hash}\n\nx`],
    ['a leading zero', 'c2sp.org/tlog-proof@v1\nindex 01\n\nx'],
    ['an unsafe index', 'c2sp.org/tlog-proof@v1\nindex 9007199254740992\n\nx'],
    ['a short hash', `c2sp.org/tlog-proof@v1\nindex 1\n${hash.slice(4)}\n\nx`],
    ['extra after the index', 'c2sp.org/tlog-proof@v1\nindex 1\nextra AAAA\n\nx'],
    ['extra that is not base64', 'c2sp.org/tlog-proof@v1\nextra A\nindex 1\n\nx'],
    ['carriage returns', 'c2sp.org/tlog-proof@v1\r\nindex 1\r\n\r\nx'],
    ['too many hashes', `c2sp.org/tlog-proof@v1\nindex 1\n${`${hash}\n`.repeat(54)}\nx`],
  ])('refuses %s', (_, text) => {
    expect(() => parseProof(text)).toThrow(fails('bad_proof'))
  })

  it('reads what formatProof writes, extra data included', () => {
    const proof = { index: 3, hashes: [EMPTY_ROOT, EMPTY_ROOT], checkpoint: 'a\n\nb\n', extra: Buffer.from('e') }
    expect(parseProof(formatProof(proof))).toEqual(proof)
    expect(parseProof(formatProof({ index: 0, hashes: [], checkpoint: 'c' }))).toEqual({
      index: 0,
      hashes: [],
      checkpoint: 'c',
    })
  })
})

describe('commitments', () => {
  it('are HMAC-SHA-256 (RFC 4231, test case 1 with its key padded to 32 bytes as HMAC pads it)', () => {
    const key = Buffer.concat([Buffer.alloc(20, 0x0b), Buffer.alloc(12)])
    expect(commitment(key, 'Hi There').toString('hex')).toBe(
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    )
  })

  it('refuse a nonce that is not 32 bytes: HMAC would pad it', () => {
    for (const size of [0, 31, 33, 64])
      expect(() => commitment(Buffer.alloc(size), '{}')).toThrow(fails('bad_commitment'))
  })
})
