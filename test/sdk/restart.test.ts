/** Key and certificate outlive the process in its state directory; against a Purser in memory. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Purser } from '@purser/sdk'
import { type TestConnectOptions, type TestPurser, createTestPurser } from '@purser/sdk/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readPrivate } from '../../sdk/src/state/private-file.ts'
import { sdkProgram } from '../support/built-sdk.ts'
import { failing } from './failing.ts'
import { fakeTime, settle } from './fake-time.ts'

const spiffeId = 'spiffe://example.org/web'
const hour = 3600

function place() {
  const parent = mkdtempSync(join(tmpdir(), 'purser-state-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true, maxRetries: 3 }))
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  const stateDir = join(parent, 'state')
  const warnings: string[] = []
  const onWarning = (warning: string): void => void warnings.push(warning)
  const start = (options: Partial<TestConnectOptions> = {}): Promise<Purser> =>
    purser.connect({ spiffeId, sessionSeconds: 10 * hour, stateDir, onWarning, ...options })
  return { parent, purser, stateDir, file: join(stateDir, 'identity.json'), warnings, start }
}

const credentialRequests = ({ requests }: TestPurser) => requests.filter(({ path }) => path === '/api/v1/credentials')
const outcomes = (purser: TestPurser) => credentialRequests(purser).map(({ by, status }) => [by, status])

describe('a restart', () => {
  test('renews by the stored certificate: the session continues, and no proof is needed', async () => {
    const { purser, file, start, warnings } = place()
    const before = await start()
    before.close()
    const proof = (): Promise<string> => Promise.reject(new Error('no proof here'))
    const after = await start({ proof, jwts: ['payments'] })
    expect(outcomes(purser)).toEqual([
      ['jwt', 200],
      ['certificate', 200],
    ])
    expect(after.session.id).toBe(before.session.id)
    await after.jwt('payments')
    expect(outcomes(purser)).toHaveLength(2)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ serialNumber: after.x509.serialNumber, spiffeId })
    expect(warnings).toEqual([])
  })

  test('presents the newest certificate, not the first one', async () => {
    const { purser, start } = place()
    const before = await start()
    await before.renew()
    await before.renew()
    before.close()
    await start()
    expect(credentialRequests(purser).map(({ by, reason }) => [by, reason])).toEqual([
      ['jwt', undefined],
      ...Array.from({ length: 3 }, () => ['certificate', undefined]),
    ])
  })

  test('while Purser is unreachable serves the stored certificate, and renews it when Purser is back', async () => {
    const { pass, until } = fakeTime()
    const { purser, start, warnings } = place()
    const before = await start()
    const { serialNumber } = before.x509
    before.close()
    purser.away()
    await pass(0.6 * hour)
    const after = await start({ jwts: ['payments'] })
    expect(after.x509).toMatchObject({ serialNumber, spiffeId })
    expect(after.toJSON()).toMatchObject({ spiffeId, session: { id: before.session.id } })
    expect(warnings).toEqual([expect.stringContaining('is used until it can be renewed')])
    expect((await failing(after.jwt('payments'))).code).toBe('unreachable')
    const back: unknown[] = []
    after.on('reconnected', (event) => back.push(event))
    purser.back()
    await until(() => after.x509.serialNumber !== serialNumber)
    expect(back).toHaveLength(1)
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
    await after.jwt('payments')
  })

  test('while Purser is unreachable and the stored certificate has ended reports both', async () => {
    const { pass } = fakeTime()
    const { purser, start } = place()
    ;(await start()).close()
    purser.away()
    await pass(1.1 * hour)
    expect((await failing(start())).code).toBe('unreachable')
    purser.back()
    expect((await start()).session.id).toBeDefined()
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'jwt', status: 200 })
  })

  test('in the middle of a renewal repeats it with its key', async () => {
    const { purser, start } = place()
    const before = await start()
    purser.loseAnswers()
    await failing(before.renew())
    before.close()
    const after = await start()
    expect(outcomes(purser)).toEqual([
      ['jwt', 200],
      ['certificate', 0],
      ['certificate', 200],
    ])
    expect(after.session.id).toBe(before.session.id)
  })

  test('a minute after a lost renewal presents the proof', async () => {
    const { pass } = fakeTime()
    const { purser, start } = place()
    const before = await start()
    purser.loseAnswers()
    await failing(before.renew())
    before.close()
    await pass(60)
    const after = await start()
    expect(credentialRequests(purser).map(({ by, reason }) => [by, reason])).toEqual([
      ['jwt', undefined],
      ['certificate', undefined],
      ['jwt', undefined],
    ])
    expect(after.x509.spiffeId).toBe(spiffeId)
  })

  test('after a lost renewal, with the clock set back meanwhile, presents the proof', async () => {
    const { pass, setBack } = fakeTime()
    const { purser, start } = place()
    const before = await start()
    await pass(400)
    purser.loseAnswers()
    await failing(before.renew())
    before.close()
    await pass(300)
    setBack(600)
    await start()
    expect(credentialRequests(purser).map(({ by }) => by)).toEqual(['jwt', 'certificate', 'jwt'])
  })

  test('after a renewal that was never sent presents the certificate, however late', async () => {
    const { pass } = fakeTime()
    const { purser, start } = place()
    purser.register({ spiffeId, sessionSeconds: 10 * hour })
    const proof = purser.joinToken(spiffeId)
    const before = await start({ proof })
    purser.away()
    await failing(before.renew())
    before.close()
    purser.back()
    await pass(65)
    const after = await start({ proof })
    expect(after.session.id).toBe(before.session.id)
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
  })

  test('after a renewal that was lost repeatedly counts from the first time', async () => {
    const { pass } = fakeTime()
    const { purser, start } = place()
    const before = await start({ timeoutMs: 1000 })
    purser.loseAnswers(2)
    await failing(before.renew())
    await pass(45)
    await failing(before.renew())
    before.close()
    await pass(20)
    await start()
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'jwt', status: 200 })
    expect(credentialRequests(purser).filter(({ reason }) => reason !== undefined)).toEqual([])
  })

  test('after a restart during an outage still knows of the lost renewal', async () => {
    const { pass } = fakeTime()
    const { purser, start } = place()
    const before = await start()
    purser.loseAnswers()
    await failing(before.renew())
    before.close()
    purser.away()
    ;(await start()).close()
    purser.back()
    await pass(65)
    await start()
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'jwt', status: 200 })
    expect(credentialRequests(purser).filter(({ reason }) => reason !== undefined)).toEqual([])
  })

  test('after the loss of a key of the server uses the proof at once', async () => {
    const { purser, start } = place()
    const x509 = { generateKey: 'EC-P256' } as const
    const before = await start({ x509 })
    purser.loseAnswers()
    await failing(before.renew())
    before.close()
    await start({ x509 })
    expect(credentialRequests(purser).map(({ by, reason }) => [by, reason])).toEqual([
      ['jwt', undefined],
      ['certificate', undefined],
      ['jwt', undefined],
    ])
  })

  test('after a renewal that the server refused presents the certificate: nothing was spent', async () => {
    const { pass } = fakeTime()
    const { purser, start } = place()
    purser.register({ spiffeId, sessionSeconds: 10 * hour })
    const proof = purser.joinToken(spiffeId)
    const before = await start({ proof })
    purser.refuse('rate_limited', { retryAfterSeconds: 60 })
    await failing(before.renew())
    before.close()
    purser.back()
    await pass(60)
    const after = await start({ proof })
    expect(after.session.id).toBe(before.session.id)
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
  })

  test('for another workload entry leaves the stored state alone', async () => {
    const { purser, start } = place()
    ;(await start()).close()
    const api = await start({ spiffeId: 'spiffe://example.org/api', workload: 'api' })
    expect(api.spiffeId).toBe('spiffe://example.org/api')
    expect(outcomes(purser)).toEqual([
      ['jwt', 200],
      ['jwt', 200],
    ])
  })

  test('of another workload, on a volume of an earlier owner, does not take over its identity', async () => {
    const { parent, purser, start } = place()
    const api = 'spiffe://example.org/api'
    const token = join(parent, 'token')
    const proof = { file: token }
    writeFileSync(token, purser.proof(spiffeId))
    ;(await start({ proof })).close()
    writeFileSync(token, purser.proof(spiffeId, { jti: 'the next token of the same' }))
    ;(await start({ proof })).close()
    writeFileSync(token, purser.proof(api))
    expect((await start({ spiffeId: api, proof })).spiffeId).toBe(api)
    expect(outcomes(purser)).toEqual([
      ['jwt', 200],
      ['certificate', 200],
      ['jwt', 200],
    ])
  })

  test('without its token by then renews by the certificate', async () => {
    const { parent, purser, start } = place()
    const token = join(parent, 'token')
    const proof = { file: token }
    writeFileSync(token, purser.proof(spiffeId))
    ;(await start({ proof })).close()
    rmSync(token)
    ;(await start({ proof })).close()
    writeFileSync(token, 'not a token')
    ;(await start({ proof })).close()
    expect(outcomes(purser).slice(1)).toEqual([
      ['certificate', 200],
      ['certificate', 200],
    ])
  })

  test('without a certificate stores nothing', async () => {
    const { file, start } = place()
    ;(await start({ x509: false, jwts: ['payments'] })).close()
    expect(existsSync(file)).toBe(false)
  })

  test.each([
    ['empty', () => ''],
    ['not JSON', (text: string) => text.slice(0, -40)],
    ['of another version', (text: string) => text.replace('"v":1', '"v":9')],
    ['without its key', (text: string) => text.replace(/"privateKey":"[^"]+"/, '"privateKey":"none"')],
    ['without a certificate', (text: string) => text.replace(/-----BEGIN CERTIFICATE-----/g, '')],
    ['without a time', (text: string) => text.replace(/"renewAfter":"[^"]+"/, '"renewAfter":"soon"')],
    ['without a session', (text: string) => text.replace(/"session":\{[^}]+\}/, '"session":null')],
  ])('with a file that is %s warns and uses the proof', async (_, damage) => {
    const { purser, file, start, warnings } = place()
    ;(await start()).close()
    writeFileSync(file, damage(readFileSync(file, 'utf8')))
    const after = await start()
    expect(warnings).toEqual([expect.stringContaining(`${file} is not used`)])
    expect(warnings.join()).not.toContain('PRIVATE KEY')
    expect(outcomes(purser)).toEqual([
      ['jwt', 200],
      ['jwt', 200],
    ])
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ serialNumber: after.x509.serialNumber })
  })

  test('with a key of another certificate warns and uses the proof', async () => {
    const { purser, file, start, warnings } = place()
    const before = await start()
    const { privateKey } = before.x509
    await before.renew()
    before.close()
    const state = JSON.parse(readFileSync(file, 'utf8')) as object
    writeFileSync(file, JSON.stringify({ ...state, privateKey }))
    await start()
    expect(warnings).toEqual([expect.stringContaining('do not belong together')])
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'jwt', status: 200 })
  })

  test('with a world-readable file warns, uses the proof, and stores another', async () => {
    const { purser, file, start, warnings } = place()
    ;(await start()).close()
    chmodSync(file, 0o644)
    await start()
    expect(warnings).toEqual([expect.stringContaining(`${file} is not used: it is open to everyone (mode 644)`)])
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'jwt', status: 200 })
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test("with a file that its group may read and write, as with Kubernetes' fsGroup, renews", async () => {
    const { purser, file, start, warnings } = place()
    ;(await start()).close()
    chmodSync(file, 0o660)
    await start()
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
    expect(warnings).toEqual([])
  })

  test('with a file of another user does not read it', async () => {
    const { file, start } = place()
    ;(await start()).close()
    const { uid } = statSync(file)
    expect(await readPrivate(file, uid)).toBe(readFileSync(file, 'utf8'))
    await expect(readPrivate(file, uid + 1)).rejects.toThrow(`it belongs to user ${uid}`)
  })

  test('in a directory of another user stores nothing, and works', async () => {
    const { parent, start, warnings } = place()
    const stateDir = join(parent, 'lent')
    mkdirSync(stateDir)
    chownSync(stateDir, 12_345, 12_345)
    const client = await start({ stateDir })
    expect(client.x509.spiffeId).toBe(spiffeId)
    expect(warnings).toContainEqual(expect.stringContaining(`can't be stored in ${stateDir}: it belongs to user 12345`))
    expect(readdirSync(stateDir)).toEqual([])
  })

  test('in a directory that cannot be written warns, and works', async () => {
    const { parent, start, warnings } = place()
    writeFileSync(join(parent, 'file'), '')
    const client = await start({ stateDir: join(parent, 'file', 'state'), receipts: 'warn' })
    expect(client.x509.spiffeId).toBe(spiffeId)
    expect(warnings.join('\n')).toContain("key and certificate can't be stored")
  })
})

describe('a directory', () => {
  test('in use by another client is left alone', async () => {
    const { purser, file, start, warnings } = place()
    const first = await start()
    const state = readFileSync(file, 'utf8')
    const second = await start()
    expect(warnings).toEqual([expect.stringContaining('another process uses')])
    await second.renew()
    second.close()
    expect(readFileSync(file, 'utf8')).toBe(state)
    await first.renew()
    expect(credentialRequests(purser).filter(({ status }) => status !== 200)).toEqual([])
    // The directory still belongs to the first client.
    const third = await start()
    expect(warnings).toHaveLength(2)
    third.close()
    first.close()
    await start()
    expect(warnings).toHaveLength(2)
  })

  test('of another client at the start is taken over once that client has ended, as in a rolling restart', async () => {
    const { purser, file, start, warnings } = place()
    const old = await start()
    const next = await start()
    old.close()
    await next.renew()
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ serialNumber: next.x509.serialNumber })
    next.close()
    const after = await start()
    expect(after.session.id).toBe(next.session.id)
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
    expect(warnings).toEqual([expect.stringContaining('another process uses')])
  })

  test('is not taken back by a closed client', async () => {
    const { purser, start, warnings } = place()
    const client = await start()
    purser.away({ silent: true })
    const renewed = failing(client.renew())
    client.close()
    await renewed
    purser.back()
    await start()
    expect(warnings).toEqual([])
  })

  test('of a killed process is taken over, and not while the process lives', async () => {
    const { stateDir, start, warnings } = place()
    const program = `import { createTestPurser } from '@purser/sdk/testing'
const purser = createTestPurser({ trustDomain: 'other.example' })
await purser.connect({ spiffeId: 'spiffe://other.example/web', stateDir: ${JSON.stringify(stateDir)} })
console.log('connected')
setInterval(() => {}, 1000)`
    const child = run(program)
    await once(child.stdout, 'data')
    ;(await start()).close()
    expect(warnings.splice(0)).toEqual([expect.stringContaining('another process uses')])
    child.kill('SIGKILL')
    await once(child, 'close')
    await start()
    expect(warnings).toEqual([expect.stringContaining("the certificate can't be renewed any more")])
  })

  test('contains only the state files, whatever happened', async () => {
    const { stateDir, start } = place()
    const client = await start()
    for (let n = 0; n < 3; n++) await client.renew()
    client.close()
    await settle()
    expect(readdirSync(stateDir).toSorted()).toEqual(['identity.json', 'log-example.org.json'])
  })
})

test('a stolen key, used beside its owner: the session ends with all its credentials, and the owner gets another', async () => {
  const { parent, purser, stateDir, start } = place()
  const owner = await start({ jwts: ['payments'] })
  const loot = join(parent, 'loot')
  cpSync(stateDir, loot, { recursive: true, filter: (path) => !statSync(path).isSocket() })
  const noProof = { proof: () => Promise.reject(new Error('a thief has none')) }
  const thief = await start({ stateDir: loot, ...noProof })
  expect(thief.session.id).toBe(owner.session.id)

  const { session } = owner
  await owner.renew()
  expect(credentialRequests(purser).map(({ reason }) => reason)).toEqual([
    undefined,
    undefined,
    'serial_spent',
    undefined,
  ])
  expect(owner.session.id).not.toBe(session.id)
  expect(await failing(thief.renew())).toMatchObject({ code: 'no_proof' })
  expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', reason: 'session_ended' })
})

const run = (program: string) =>
  spawn(process.execPath, sdkProgram(program), {
    stdio: ['ignore', 'pipe', 'inherit'],
  })

describe('an otherwise idle process ends', () => {
  test.each([
    ['that closed its client', 'client.close()'],
    ['that did not', ''],
    ['that waits for nothing while Purser is away', "purser.away(); client.renew().catch(() => console.log('away'))"],
    ['that listens', "client.on('renewed', () => {})"],
  ])('%s', async (_, last) => {
    const { stateDir } = place()
    const child = run(`import { createTestPurser } from '@purser/sdk/testing'
const purser = createTestPurser()
const options = { spiffeId: ${JSON.stringify(spiffeId)}, stateDir: ${JSON.stringify(stateDir)} }
const client = await purser.connect({ ...options, jwts: ['payments'] })
await client.jwt('other')
${last}
console.log('done')`)
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number]
    expect({ code, output: output.replace('away\n', '') }).toEqual({ code: 0, output: 'done\n' })
  })
})
