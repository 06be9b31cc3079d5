/** A verified server whose log does not hold: a credential without its true receipt is thrown away. */
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectOptions, type Purser, PurserError, type Receipt, connect } from '@purser/sdk'
import { openCheckpoint } from '@purser/sdk/verify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createFakeLog } from './fake-log.ts'
import { type Fake, type Misbehaviour, proofFor, startFake } from './fake-purser.ts'

type Json = Record<string, unknown>

function optionsFor(fake: Fake, more: ConnectOptions = {}): ConnectOptions {
  const { vkey } = fake.state.log
  return { addr: fake.url, allowPlainLoopback: true, proof: proofFor(), env: {}, logKey: vkey, jwts: ['a'], ...more }
}

const failing = async (work: Promise<unknown>): Promise<PurserError> => {
  const error: unknown = await work.then(
    () => 'it was accepted',
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(PurserError)
  return error as PurserError
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
      withReceipt(({ proof }) => ({ proof: proof.replace(/(\S+)\n$/, (_, one: string) => `${flip(one, 20)}\n`) })),
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

describe('a true receipt that is not about what came', () => {
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
    ['no certificate', (one) => ({ ...one, issued: { jwts: issued(one).jwts } }), /serial number/],
    ['jti', jwt({ jti: 'x' }), /jti/],
    ['audience', jwt({ audience: ['bank'] }), /audience of a JWT is bank/],
    ['end of a JWT', jwt({ expiresAt: '2036-01-01T00:00:00Z' }), /end of a JWT/],
    [
      'a JWT more',
      (one) => ({ ...one, issued: { ...issued(one), jwts: [...(issued(one).jwts as Json[]), {}] } }),
      /number of JWTs is 2/,
    ],
    ['an access token more', edit('accessToken', { id: 'tok_9' }), /access token is tok_9 in the log and absent here/],
    ['a secret more', edit('secrets', { path: 'p' }), /secrets/],
    ['SPIFFE ID', actor({ spiffeId: 'spiffe://example.org/lab/other' }), /SPIFFE ID/],
    ['session', actor({ session: 'ses_9' }), /session is ses_9/],
    ['workload', actor({ workloadId: 'wl_9' }), /workload entry/],
    ['revision', actor({ revision: 3 }), /revision/],
    ['request', (one) => ({ ...one, requestId: 'req_other' }), /request id is req_other/],
    ['outcome', (one) => ({ ...one, outcome: 'refused' }), /outcome/],
    ['action', (one) => ({ ...one, action: 'secrets.read' }), /action/],
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
    expect(error.message).toContain('before this request')
    purser.close()

    // A client that has seen nothing yet tells by the entry.
    const second = await failing(connect(optionsFor(fake)))
    expect(second.code).toBe('receipt_mismatch')
  })

  test('one jti for two tokens', async () => {
    const twice = (one: unknown, n: number): unknown => (n === 0 ? one : { ...(one as Json), jti: 'same' })
    const fake = await plain({ reply: (reply) => ({ ...reply, jwts: (reply.jwts as unknown[]).map(twice) }) })
    expect((await failing(connect(optionsFor(fake, { jwts: ['a', 'b'] })))).code).toBe('bad_reply')
  })
})

describe('a log that forked', () => {
  const connected = async (more: ConnectOptions = {}): Promise<{ fake: Fake; purser: Purser }> => {
    const fake = await plain()
    const purser = await connect(optionsFor(fake, more))
    return { fake, purser }
  }

  test.each([
    ['shorter', 1],
    ['with another entry in place of ours', 3],
  ])('%s: both heads are kept as evidence', async (_, size) => {
    const { fake, purser } = await connected()
    const before = purser.receipt
    const kept = fake.state.log.checkpoint()
    const { vkey } = fake.state.log
    fake.state.log = fake.state.log.fork(size)
    const error = await failing(purser.jwt('b'))
    expect(error.code).toBe('log_forked')
    expect(error.heads?.kept).toBe(kept)
    expect(openCheckpoint(error.heads?.received, [vkey]).size).toBe(fake.state.log.size())
    expect(purser.receipt).toBe(before)
    // And again: what was refused was not taken over.
    expect((await failing(purser.jwt('c'))).code).toBe('log_forked')
    purser.close()
    await fake.drained()
  })

  test('that has overtaken what was seen', async () => {
    const { fake, purser } = await connected()
    fake.state.log = fake.state.log.fork(3)
    for (let n = 0; n < 5; n++) fake.state.log.append({ n })
    expect((await failing(purser.jwt('b'))).code).toBe('log_forked')
  })

  test('growth that is not proven', async () => {
    const { fake, purser } = await connected()
    fake.state.wrong.reply = withReceipt(() => ({ consistency: [] }))
    expect((await failing(purser.jwt('b'))).code).toBe('log_forked')
  })

  test('growth that is proven is accepted, and asked for by size and epoch', async () => {
    const { fake, purser } = await connected()
    for (let n = 0; n < 9; n++) fake.state.log.append({ n })
    await purser.jwt('b')
    expect(fake.posts().map(({ json }) => json.receipt)).toEqual([undefined, { epoch: 1, sinceSize: 4 }])
    expect(purser.receipt?.index).toBe(13)
  })

  test('shown to a client that kept a head in PURSER_STATE_DIR', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'purser-state-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const stateDir = join(dir, 'made')
    const { fake, purser } = await connected({ stateDir })
    purser.close()
    expect(await readdir(stateDir)).toEqual(['log-example.org.json'])
    expect((await stat(join(stateDir, 'log-example.org.json'))).mode & 0o777).toBe(0o600)
    const good = fake.state.log
    fake.state.log = good.fork(3)
    expect((await failing(connect(optionsFor(fake, { stateDir })))).code).toBe('log_forked')
    fake.state.log = good
    expect((await connect(optionsFor(fake, { stateDir }))).receipt?.consistency).toBeDefined()
  })
})

describe('what is kept in PURSER_STATE_DIR', () => {
  test.each([
    ['is damaged', '{'],
    ['is of another shape', '{"v":2}'],
    ['is signed by nobody known', JSON.stringify({ v: 1, vkeys: ['x'], checkpoint: createFakeLog().checkpoint() })],
  ])('%s: nothing is asked for', async (_, text) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'purser-state-'))
    onTestFinished(() => rm(stateDir, { recursive: true, force: true }))
    await writeFile(join(stateDir, 'log-example.org.json'), text)
    const fake = await plain()
    expect((await failing(connect(optionsFor(fake, { stateDir })))).code).toBe('bad_state')
    expect(fake.posts()).toEqual([])
    expect(await readFile(join(stateDir, 'log-example.org.json'), 'utf8')).toBe(text)
  })

  test('a place that is no directory', async () => {
    const fake = await plain()
    expect((await failing(connect(optionsFor(fake, { stateDir: '/dev/null/x' })))).code).toBe('bad_state')
  })

  test('a place that takes no file is a warning: the credential is sound', async () => {
    const warnings: string[] = []
    const fake = await plain()
    const options = optionsFor(fake, { stateDir: '/proc/purser', onWarning: (one) => warnings.push(one) })
    expect((await connect(options)).receipt?.index).toBe(3)
    expect(warnings).toEqual([expect.stringContaining("can't be kept in /proc/purser/log-example.org.json")])
  })
})

describe('a new epoch', () => {
  test('is not believed from a server whose key was trusted on first use', async () => {
    const fake = await plain()
    const purser = await connect({ ...optionsFor(fake), logKey: [], onWarning: () => undefined })
    fake.state.log = createFakeLog(2)
    expect((await failing(purser.jwt('b'))).code).toBe('log_epoch')
  })

  test('is accepted under a key that was pinned for it, and never goes back', async () => {
    const fake = await plain()
    const [first, second] = [fake.state.log, createFakeLog(2)]
    const purser = await connect(optionsFor(fake, { logKey: [first.vkey, second.vkey] }))
    fake.state.log = second
    await purser.jwt('b')
    expect(purser.receipt?.epoch).toBe(2)
    fake.state.log = first
    expect((await failing(purser.jwt('c'))).code).toBe('log_epoch')
  })
})

describe("the log's key", () => {
  test('on first use comes from the server, with a warning that says how to pin it', async () => {
    const warnings: string[] = []
    const fake = await plain()
    const { vkey } = fake.state.log
    const purser = await connect({ ...optionsFor(fake), logKey: [], onWarning: (one) => warnings.push(one) })
    expect(warnings).toEqual([expect.stringContaining(`PURSER_LOG_KEY=${vkey}`)])
    expect(purser.chosen.find(({ about }) => about === 'log key')?.chosen).toContain('trust on first use')
    // For life: a key that the server says later counts for nothing.
    fake.state.log = createFakeLog()
    expect((await failing(purser.jwt('b'))).code).toBe('receipt_invalid')
  })

  test.each([
    ['of another log', { logKey: createFakeLog(7).vkey }],
    ['not said by the server', { logKey: [] }],
  ])('%s: nothing is asked for', async (_, more) => {
    const fake = await plain({ info: (info) => ({ ...info, logKeys: [] }) })
    expect((await failing(connect(optionsFor(fake, more)))).code).toBe('no_log_key')
    expect(fake.posts()).toEqual([])
  })
})

describe('receipts', () => {
  const forged = withReceipt(({ nonce }) => ({ nonce: flip(nonce, 0) }))

  test("'warn' lets one pass, and says so", async () => {
    const warnings: string[] = []
    const fake = await plain({ reply: forged })
    const purser = await connect(optionsFor(fake, { receipts: 'warn', onWarning: (one) => warnings.push(one) }))
    expect(purser.x509.spiffeId).toBe('spiffe://example.org/lab/web')
    expect(purser.receipt).toBeUndefined()
    expect(warnings).toEqual([expect.stringContaining('receipt_invalid')])
  })

  test("'off' looks at none", async () => {
    const warnings: string[] = []
    const fake = await plain({ reply: forged })
    const purser = await connect(
      optionsFor(fake, { receipts: 'off', logKey: [], onWarning: (one) => warnings.push(one) }),
    )
    expect(purser.receipt).toBeUndefined()
    expect(warnings).toEqual([])
  })
})
