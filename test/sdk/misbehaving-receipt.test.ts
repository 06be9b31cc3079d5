/** A verified server whose receipts are invalid: the client discards the credential. */
import { type ConnectOptions, type Receipt, connect } from '@purser/sdk'
import { describe, expect, test } from 'vitest'
import { failing } from './failing.ts'
import { createFakeLog } from './fake-log.ts'
import { type Fake, type Misbehaviour, proofFor, startFake } from './fake-purser.ts'

type Json = Record<string, unknown>

function optionsFor(fake: Fake, more: ConnectOptions = {}): ConnectOptions {
  const { vkey } = fake.state.log
  return { addr: fake.url, allowPlainLoopback: true, proof: proofFor(), env: {}, logKey: vkey, jwts: ['a'], ...more }
}

const plain = (wrong: Misbehaviour = {}): Promise<Fake> => startFake({ plain: true, ...wrong })
const receiptIn = (reply: Json): Receipt => reply.receipt as Receipt
const withReceipt =
  (change: (receipt: Receipt) => Partial<Receipt>) =>
  (reply: Json): Json => ({ ...reply, receipt: { ...receiptIn(reply), ...change(receiptIn(reply)) } })
const flip = (text: string, at: number): string => {
  const bytes = Buffer.from(text, 'base64')
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes.toString('base64')
}

describe('a forged receipt', () => {
  test.each<[string, (reply: Json) => Json]>([
    ['none', ({ receipt: _, ...rest }) => rest],
    ['an edited entry', withReceipt(({ entry }) => ({ entry: entry.replace('granted', 'refused') }))],
    ['another nonce', withReceipt(({ nonce }) => ({ nonce: flip(nonce, 0) }))],
    ['another index', withReceipt(({ index }) => ({ index: index - 1 }))],
    ['another epoch', withReceipt(() => ({ epoch: 2 }))],
    ['an edited size', withReceipt(({ proof }) => ({ proof: proof.replace(/\n4\n/, '\n5\n') }))],
    [
      'a broken signature',
      withReceipt(({ proof }) => ({ proof: proof.replace(/(\S+)\n$/, (_, line: string) => `${flip(line, 20)}\n`) })),
    ],
    ['a proof of nothing', withReceipt(() => ({ proof: 'nothing' }))],
  ])('%s', async (_, reply) => {
    const fake = await plain({ reply })
    expect((await failing(connect(optionsFor(fake)))).code).toBe('receipt_invalid')
    await fake.drained()
  })

  test('a true receipt of another log, under a key of the same name', async () => {
    const other = createFakeLog()
    const fake = await plain({
      reply: (reply) => ({ ...reply, receipt: other.append(JSON.parse(receiptIn(reply).entry) as Json) }),
    })
    expect((await failing(connect(optionsFor(fake)))).code).toBe('receipt_invalid')
  })
})

describe('a true receipt for other credentials', () => {
  const issued = (entry: Json): Json => entry.issued as Json
  const edit =
    (part: string, change: Json) =>
    (entry: Json): Json => ({
      ...entry,
      issued: { ...issued(entry), [part]: { ...(issued(entry)[part] as Json), ...change } },
    })
  const actor =
    (change: Json) =>
    (entry: Json): Json => ({ ...entry, actor: { ...(entry.actor as Json), ...change } })
  const jwt =
    (change: Json) =>
    (entry: Json): Json => ({
      ...entry,
      issued: { ...issued(entry), jwts: [{ ...(issued(entry).jwts as Json[])[0], ...change }] },
    })

  test.each<[string, (entry: Json) => Json, RegExp]>([
    [
      'serial',
      edit('x509', { serialNumber: 'ab' }),
      /serial number of the certificate is ab in the log and [0-9a-f]+ here/,
    ],
    ['fingerprint', edit('x509', { sha256: '00' }), /SHA-256 of the certificate/],
    ['public key', edit('x509', { publicKeySha256: '00' }), /public key/],
    ['end', edit('x509', { notAfter: '2036-01-01T00:00:00Z' }), /end of the certificate/],
    ['no certificate', (json) => ({ ...json, issued: { jwts: issued(json).jwts } }), /serial number/],
    ['jti', jwt({ jti: 'x' }), /jti/],
    ['audience', jwt({ audience: ['bank'] }), /audience of a JWT is bank/],
    ['end of a JWT', jwt({ expiresAt: '2036-01-01T00:00:00Z' }), /end of a JWT/],
    [
      'a JWT more',
      (json) => ({ ...json, issued: { ...issued(json), jwts: [...(issued(json).jwts as Json[]), {}] } }),
      /number of JWTs is 2/,
    ],
    ['an access token more', edit('accessToken', { id: 'tok_9' }), /access token is tok_9 in the log and absent here/],
    ['a secret more', edit('secrets', { path: 'p' }), /secrets/],
    ['SPIFFE ID', actor({ spiffeId: 'spiffe://example.org/lab/other' }), /SPIFFE ID/],
    ['session', actor({ session: 'ses_9' }), /session is ses_9/],
    ['workload', actor({ workloadId: 'wl_9' }), /workload entry/],
    ['revision', actor({ revision: 3 }), /revision/],
    ['request', (json) => ({ ...json, requestId: 'req_other' }), /request id is req_other/],
    ['outcome', (json) => ({ ...json, outcome: 'refused' }), /outcome/],
    ['action', (json) => ({ ...json, action: 'secrets.read' }), /action/],
  ])('%s', async (_, entry, words) => {
    const fake = await plain({ entry })
    const error = await failing(connect(optionsFor(fake)))
    expect(error.code).toBe('receipt_mismatch')
    expect(error.message).toMatch(words)
  })

  test('the receipt of an earlier issuance to the same workload', async () => {
    const receipts: Receipt[] = []
    const fake = await plain({
      reply: (reply) => {
        receipts.push(receiptIn(reply))
        return { ...reply, receipt: receipts[0] }
      },
    })
    const purser = await connect(optionsFor(fake))
    const error = await failing(purser.jwt('b'))
    expect(error.code).toBe('receipt_mismatch')
    expect(error.message).toContain('older than this request')
    purser.close()

    // A client without earlier tokens detects it by the entry.
    const second = await failing(connect(optionsFor(fake)))
    expect(second.code).toBe('receipt_mismatch')
  })

  test('one jti in two tokens', async () => {
    const twice = (token: unknown, n: number): unknown => (n === 0 ? token : { ...(token as Json), jti: 'same' })
    const fake = await plain({ reply: (reply) => ({ ...reply, jwts: (reply.jwts as unknown[]).map(twice) }) })
    expect((await failing(connect(optionsFor(fake, { jwts: ['a', 'b'] })))).code).toBe('bad_reply')
  })
})

describe('receipts', () => {
  const forged = withReceipt(({ nonce }) => ({ nonce: flip(nonce, 0) }))

  test("'warn' accepts it with a warning", async () => {
    const warnings: string[] = []
    const fake = await plain({ reply: forged })
    const purser = await connect(optionsFor(fake, { receipts: 'warn', onWarning: (warning) => warnings.push(warning) }))
    expect(purser.x509.spiffeId).toBe('spiffe://example.org/lab/web')
    expect(purser.receipt).toBeUndefined()
    expect(warnings).toEqual([expect.stringContaining('receipt_invalid')])
  })

  test("'off' checks none", async () => {
    const warnings: string[] = []
    const fake = await plain({ reply: forged })
    const purser = await connect(
      optionsFor(fake, { receipts: 'off', logKey: [], onWarning: (warning) => warnings.push(warning) }),
    )
    expect(purser.receipt).toBeUndefined()
    expect(warnings).toEqual([])
  })
})
