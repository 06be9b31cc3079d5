import { X509Certificate } from 'node:crypto'
import { parseNote, verifyReceipt } from '@purser/sdk/verify'
import type { Receipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import { bundleOf, jwksOf, kidsOf, rootsIn } from '../support/published.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

type Key = { id: string; kind: string; state: string; activeAt?: string; vkey?: string; certificateChain?: string }
type Rotated = { created: Key[]; replaced: Key[] }

const day = 24 * 3600

// On the embedded store: test/jobs/key-life.test.ts.
describe('rotating keys by request', () => {
  const clock = createClock()
  let purser: TestPurser
  let ask: Ask
  let lab: Lab

  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', now: clock.now })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
  })
  afterAll(() => purser.stop())

  const passes = async (seconds: number): Promise<void> => {
    clock.advance(seconds)
    await purser.runJobs()
  }
  const rotate = (kind: string, body: unknown = {}, more = {}) => ask('rotateKey', { name: kind, body, ...more })
  const rotated = async (kind: string, body: unknown = {}): Promise<Rotated> => {
    const answer = await rotate(kind, body)
    expect(fault(answer)).toBe('200 ')
    return answer.body as unknown as Rotated
  }
  const list = async (): Promise<Key[]> => (await ask('listKeys', { query: { limit: '200' } })).body.items as Key[]
  const stateOf = async (id: string): Promise<string | undefined> => (await list()).find((key) => key.id === id)?.state
  const crl = (id: string) => purser.call('GET', `/crl/${id}`)

  it('refuses other kinds, a level for other keys than CAs, and tokens of workloads', async () => {
    expect(fault(await rotate('mac'))).toBe('400 invalid_request /path/kind')
    expect(fault(await rotate('jwt', { level: 'root' }))).toBe('400 invalid_request /level')
    expect(fault(await rotate('ca', { force: true }))).toBe('400 invalid_request /force')
    const { accessToken } = await lab.get()
    expect(fault(await rotate('ca', {}, { token: accessToken }))).toBe('401 token_type')
    expect(fault(await ask('listKeys', { token: accessToken }))).toBe('401 token_type')
  })

  it('lists every key with its state, and nothing private', async () => {
    const answer = await ask('listKeys')
    const kinds = (answer.body.items as Key[]).map((key) => `${key.kind} ${key.state}`)
    expect(kinds).toEqual(
      ['issuing-ca', 'jwt-es256', 'jwt-rs256', 'keyring', 'log', 'mac', 'root-ca'].map((kind) => `${kind} active`),
    )
    expect(answer.text).not.toContain('PRIVATE')
    expect(answer.text).not.toContain('wrapped')
  })

  it('pages the list', async () => {
    const first = await ask('listKeys', { query: { limit: '4' } })
    const cursor = String(first.body.nextCursor)
    const rest = await ask('listKeys', { query: { limit: '4', cursor } })
    const ids = [first, rest].flatMap((answer) => (answer.body.items as Key[]).map((key) => key.id))
    expect(new Set(ids).size).toBe(7)
    expect(fault(await ask('listKeys', { query: { cursor: `${cursor}x` } }))).toBe('400 bad_cursor')
  })

  it('publishes next JWT keys and signs with them a day later', async () => {
    const before = await lab.get()
    const { created, replaced } = await rotated('jwt')
    expect(created.map((key) => [key.kind, key.state])).toEqual([
      ['jwt-es256', 'published'],
      ['jwt-rs256', 'published'],
    ])
    expect(created.map((key) => Date.parse(key.activeAt ?? ''))).toEqual(
      [1, 1].map(() => clock.now().getTime() + day * 1000),
    )
    expect(replaced.map((key) => key.id)).toContain(before.kid)
    expect(await kidsOf(purser)).toEqual(expect.arrayContaining(created.map((key) => key.id)))
    expect((await lab.get()).kid).toBe(before.kid)
    expect(fault(await rotate('jwt'))).toBe('422 impossible')
    await passes(day)
    expect((await lab.get()).kid).toBe(created[0]?.id)
    expect(await stateOf(before.kid)).toBe('retiring')
  })

  it('withdraws compromised JWT keys at once, including the retiring and the next ones', async () => {
    const old = await lab.get()
    const sequence = (await bundleOf(purser)).spiffe_sequence
    const { created, replaced } = await rotated('jwt', { compromised: true })
    expect(created.map((key) => key.state)).toEqual(['active', 'active'])
    expect(replaced.every((key) => key.state === 'withdrawn')).toBe(true)
    expect(await kidsOf(purser)).toEqual(created.map((key) => key.id).sort())
    expect((await bundleOf(purser)).spiffe_sequence).toBeGreaterThan(sequence)
    expect((await lab.get()).kid).toBe(created[0]?.id)
    const { body } = await ask('introspectToken', { body: { token: old.jwt } })
    expect(body).toEqual({ active: false })
    const withdrawn = (await readLog(purser)).filter((entry) => entry.action === 'key.withdraw')
    expect(withdrawn.map((entry) => entry.resource?.id)).toEqual(replaced.map((key) => key.id))
    expect(withdrawn[0]?.actor).toMatchObject({ kind: 'operator', operator: 'admin' })
  })

  it('signs with the next issuing CA a day after the rotation, under the same root', async () => {
    const before = await lab.get()
    const { created, replaced } = await rotated('ca')
    expect([created, replaced].map((list) => list.map((key) => key.kind))).toEqual([['issuing-ca'], ['issuing-ca']])
    expect((await lab.get()).issuing).toBe(before.issuing)
    await passes(day)
    const after = await lab.get()
    expect(after.issuing).toBe(created[0]?.certificateChain)
    expect(after.roots).toBe(before.roots)
    expect((await crl(replaced[0]?.id ?? '')).status).toBe(200)
  })

  it('withdraws a compromised issuing CA at once: its CRL, and the access by its certificates', async () => {
    const { created, replaced } = await rotated('ca', { compromised: true, level: 'issuing' })
    expect(replaced.length).toBeGreaterThan(0)
    for (const { id } of replaced) expect((await crl(id)).status).toBe(404)
    expect((await crl(created[0]?.id ?? '')).status).toBe(200)
    expect((await lab.get()).issuing).toBe(created[0]?.certificateChain)
  })

  it('rotates the root: both are trusted until nothing under the old one is valid', async () => {
    const before = await lab.get()
    const { created } = await rotated('ca', { level: 'root' })
    expect(created.map((key) => [key.kind, key.state])).toEqual([
      ['root-ca', 'published'],
      ['issuing-ca', 'published'],
    ])
    expect(rootsIn(await bundleOf(purser))).toHaveLength(2)
    expect(fault(await rotate('ca', { level: 'root' }))).toBe('422 impossible')
    expect((await lab.get()).issuing).toBe(before.issuing)
    await passes(day)
    const after = await lab.get()
    expect(after.issuing).toBe(created[1]?.certificateChain)
    const root = new X509Certificate(created[0]?.certificateChain ?? '')
    expect(new X509Certificate(after.issuing).verify(root.publicKey)).toBe(true)
    // An issuing CA signs for 7 days and its certificates live for one more.
    await passes(9 * day)
    expect(rootsIn(await bundleOf(purser))).toEqual([root.fingerprint256])
  })

  it('withdraws a compromised root with all keys under it', async () => {
    const before = await lab.get()
    const { created } = await rotated('ca', { level: 'root', compromised: true })
    const roots = rootsIn(await bundleOf(purser))
    expect(roots).toEqual([new X509Certificate(created[0]?.certificateChain ?? '').fingerprint256])
    const after = await lab.get()
    expect(after.issuing).toBe(created[1]?.certificateChain)
    expect(after.roots).not.toContain(before.roots)
  })

  it('announces a new log key under the old one, and both sign during the overlap', async () => {
    const old = purser.vkeys[0] ?? ''
    const answer = await rotate('log')
    const [created] = (answer.body as unknown as Rotated).created
    const vkey = created?.vkey ?? ''
    const announced = Number(answer.headers.get('purser-log-index')?.split('/')[1])

    const during = await lab.ask()
    const receipt = during.body.receipt as Receipt
    for (const vkeys of [[old], [vkey], [old, vkey]]) {
      expect(verifyReceipt(receipt, { vkeys }).index).toBeGreaterThan(announced)
    }
    expect(fault(await rotate('log'))).toBe('422 impossible')

    await passes(day)
    const after = (await lab.ask()).body.receipt as Receipt
    expect(verifyReceipt(after, { vkeys: [vkey] }).index).toBeGreaterThan(announced)
    expect(() => verifyReceipt(after, { vkeys: [old] })).toThrow()
    const endIndex = (await readLog(purser)).findLastIndex((entry) => entry.action === 'key.retire')
    const { keys } = (await purser.call('GET', '/log/keys')).body as { keys: object[] }
    // The announcing entry and the one that set the older key's end are below the first head of the new one.
    expect(keys).toMatchObject([
      { vkey: old, from: 0, to: endIndex + 1 },
      { vkey, from: announced + 2 },
    ])
    expect(keys[1]).not.toHaveProperty('to')
    expect((await purser.call('GET', '/api/v1/server')).body.logKeys).toEqual([vkey])
  })

  it('lets a compromised log key sign its own end and nothing after it', async () => {
    const [before] = (await purser.call('GET', '/api/v1/server')).body.logKeys as string[]
    const answer = await rotate('log', { compromised: true })
    const vkey = (answer.body as unknown as Rotated).created[0]?.vkey ?? ''
    const receipt = (await lab.ask()).body.receipt as Receipt
    expect(() => verifyReceipt(receipt, { vkeys: [before ?? ''] })).toThrow()
    expect(verifyReceipt(receipt, { vkeys: [vkey] }).index).toBeGreaterThan(0)
    const note = (await purser.call('GET', '/log/1/checkpoint')).text
    expect(parseNote(note).signatures).toHaveLength(1)
  })

  it('wraps every private key again, and still signs', async () => {
    const [before] = (await list()).filter((key) => key.kind === 'keyring')
    const { created, replaced } = await rotated('keyring')
    expect(created.map((key) => [key.kind, key.state])).toEqual([['keyring', 'active']])
    expect(replaced.map((key) => key.id)).toEqual([before?.id])
    const remaining = await purser.knex('signing_key').whereNot({ wrapping_key_id: created[0]?.id }).select('id')
    expect(remaining).toEqual([])
    expect((await list()).filter((key) => key.kind === 'keyring').map((key) => key.id)).toEqual([created[0]?.id])
    await lab.get()
    // A key that was not yet open is read under the new wrapping.
    await rotated('jwt', { compromised: true })
    await lab.get()
  })

  it('performs a repeated request once', async () => {
    const first = await rotate('jwt', {}, { idempotencyKey: 'k-1' })
    const repeat = await rotate('jwt', {}, { idempotencyKey: 'k-1' })
    expect([fault(first), fault(repeat)]).toEqual(['200 ', '409 already_done'])
    expect(repeat.body.id).toBe((first.body as unknown as Rotated).created[0]?.id)
    expect(fault(await rotate('ca', {}, { idempotencyKey: 'k-1' }))).toBe('200 ')
    expect((await jwksOf(purser)).length).toBe(4)
  })

  it('records the operator and the reason of a rotation', async () => {
    const answer = await rotate('keyring', {}, { reason: 'incident 42' })
    expect(await entryOf(purser, answer)).toMatchObject({
      action: 'key.rewrap',
      actor: { kind: 'operator', operator: 'admin', note: 'incident 42' },
      resource: { kind: 'key', name: 'keyring' },
    })
  })
})
