/** A verified server whose log does not grow as claimed, or is another log. */
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectOptions, type Purser, connect } from '@purser/sdk'
import { openCheckpoint } from '@purser/sdk/verify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { failing } from './failing.ts'
import { createFakeLog } from './fake-log.ts'
import { type Fake, proofFor, startFake } from './fake-purser.ts'

function optionsFor(fake: Fake, more: ConnectOptions = {}): ConnectOptions {
  const { vkey } = fake.state.log
  return { addr: fake.url, allowPlainLoopback: true, proof: proofFor(), env: {}, logKey: vkey, jwts: ['a'], ...more }
}

const plain = (): Promise<Fake> => startFake({ plain: true })

describe('a log that forked', () => {
  const connected = async (more: ConnectOptions = {}): Promise<{ fake: Fake; purser: Purser }> => {
    const fake = await plain()
    const purser = await connect(optionsFor(fake, more))
    return { fake, purser }
  }

  test.each([
    ['shorter', 1],
    ['with another entry in place of ours', 3],
  ])('%s: both heads are stored as evidence', async (_, size) => {
    const { fake, purser } = await connected()
    const before = purser.receipt
    const checkpoint = fake.state.log.checkpoint()
    const { vkey } = fake.state.log
    fake.state.log = fake.state.log.fork(size)
    const error = await failing(purser.jwt('b'))
    expect(error.code).toBe('log_forked')
    expect(error.heads?.kept).toBe(checkpoint)
    expect(openCheckpoint(error.heads?.received, [vkey]).size).toBe(fake.state.log.size())
    expect(purser.receipt).toBe(before)
    // The refused head did not replace the stored one, so the next try fails too.
    expect((await failing(purser.jwt('c'))).code).toBe('log_forked')
    purser.close()
    await fake.drained()
  })

  test('that is shorter than the stored head', async () => {
    const { fake, purser } = await connected()
    fake.state.log = fake.state.log.fork(3)
    for (let n = 0; n < 5; n++) fake.state.log.append({ n })
    expect((await failing(purser.jwt('b'))).code).toBe('log_forked')
  })

  test('unproven growth', async () => {
    const { fake, purser } = await connected()
    fake.state.wrong.reply = (reply) => ({ ...reply, receipt: { ...(reply.receipt as object), consistency: [] } })
    expect((await failing(purser.jwt('b'))).code).toBe('log_forked')
  })

  test('proven growth is accepted, and requested by size and epoch', async () => {
    const { fake, purser } = await connected()
    for (let n = 0; n < 9; n++) fake.state.log.append({ n })
    await purser.jwt('b')
    expect(fake.posts().map(({ json }) => json.receipt)).toEqual([undefined, { epoch: 1, sinceSize: 4 }])
    expect(purser.receipt?.index).toBe(13)
  })

  test('presented to a client with a head in PURSER_STATE_DIR', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'purser-state-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const stateDir = join(dir, 'made')
    const { fake, purser } = await connected({ stateDir })
    purser.close()
    expect(await readdir(stateDir)).toEqual(['identity.json', 'log-example.org.json'])
    expect((await stat(join(stateDir, 'log-example.org.json'))).mode & 0o777).toBe(0o600)
    const good = fake.state.log
    fake.state.log = good.fork(3)
    expect((await failing(connect(optionsFor(fake, { stateDir })))).code).toBe('log_forked')
    fake.state.log = good
    expect((await connect(optionsFor(fake, { stateDir }))).receipt?.consistency).toBeDefined()
  })
})

describe('the state in PURSER_STATE_DIR', () => {
  test.each([
    ['is damaged', '{'],
    ['is of another shape', '{"v":2}'],
    ['is signed with an unknown key', JSON.stringify({ v: 1, vkeys: ['x'], checkpoint: createFakeLog().checkpoint() })],
  ])('%s: nothing is requested', async (_, text) => {
    const stateDir = await mkdtemp(join(tmpdir(), 'purser-state-'))
    onTestFinished(() => rm(stateDir, { recursive: true, force: true }))
    await writeFile(join(stateDir, 'log-example.org.json'), text)
    const fake = await plain()
    expect((await failing(connect(optionsFor(fake, { stateDir })))).code).toBe('bad_state')
    expect(fake.posts()).toEqual([])
    expect(await readFile(join(stateDir, 'log-example.org.json'), 'utf8')).toBe(text)
  })

  test('a path that is not a directory', async () => {
    const fake = await plain()
    expect((await failing(connect(optionsFor(fake, { stateDir: '/dev/null/x' })))).code).toBe('bad_state')
  })

  test('a directory that cannot be written is a warning: the credential is valid', async () => {
    const warnings: string[] = []
    const fake = await plain()
    const options = optionsFor(fake, { stateDir: '/proc/purser', onWarning: (warning) => warnings.push(warning) })
    expect((await connect(options)).receipt?.index).toBe(3)
    expect(warnings[0]).toContain("key and certificate can't be stored in /proc/purser")
    expect(warnings.slice(1)).toEqual([expect.stringContaining("can't be stored in /proc/purser/log-example.org.json")])
  })
})

describe('a new epoch', () => {
  test('is rejected from a server whose key was trusted on first use', async () => {
    const fake = await plain()
    const purser = await connect({ ...optionsFor(fake), logKey: [], onWarning: () => undefined })
    fake.state.log = createFakeLog(2)
    expect((await failing(purser.jwt('b'))).code).toBe('log_epoch')
  })

  test('is accepted under a key that was pinned for it, and never reverts', async () => {
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
  test('comes from the server on first use, with a warning that says how to pin it', async () => {
    const warnings: string[] = []
    const fake = await plain()
    const { vkey } = fake.state.log
    const purser = await connect({ ...optionsFor(fake), logKey: [], onWarning: (warning) => warnings.push(warning) })
    expect(warnings).toEqual([expect.stringContaining(`PURSER_LOG_KEY=${vkey}`)])
    expect(purser.chosen.find(({ about }) => about === 'log key')?.chosen).toContain('trust on first use')
    // For the life of the process: a key that the server sends later is ignored.
    fake.state.log = createFakeLog()
    expect((await failing(purser.jwt('b'))).code).toBe('receipt_invalid')
  })

  test.each([
    ['of another log', { logKey: createFakeLog(7).vkey }],
    ['missing from the server', { logKey: [] }],
  ])('%s: nothing is requested', async (_, more) => {
    const fake = await startFake({ plain: true, info: (info) => ({ ...info, logKeys: [] }) })
    expect((await failing(connect(optionsFor(fake, more)))).code).toBe('no_log_key')
    expect(fake.posts()).toEqual([])
  })
})
