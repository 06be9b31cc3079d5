/** `purser login`, contexts, passwords and recovery, against real servers over TLS. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type CommandResult, cli } from '../support/cli.ts'
import { accountWithPassword, password } from '../support/logins.ts'
import { createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let other: TestPurser
let home = ''
beforeAll(async () => {
  purser = await startPurser({ tls: true, store: 'postgres' })
  other = await startPurser({ tls: true })
  await accountWithPassword(createAsk(purser), 'ada', 'admin')
  await accountWithPassword(createAsk(other), 'bea', 'operator')
})
afterAll(async () => {
  await purser.stop()
  await other.stop()
})
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'purser-home-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const ca = (at: TestPurser): string => join(at.dataDir, 'ca.pem')
const file = (): string => join(home, '.config', 'purser', 'config.json')
const run = (line: string, stdin = '', env: Record<string, string> = {}): Promise<CommandResult> =>
  cli(line.split(' '), { env: { HOME: home, ...env }, stdin })
const logIn = (more = ''): Promise<CommandResult> =>
  run(`login ada --addr ${purser.url} --ca-file ${ca(purser)}${more}`, `${password}\n`)

describe('purser login', () => {
  it('stores the session in a file that other users cannot read, and later commands use it', async () => {
    const result = await logIn()
    expect(result).toMatchObject({ code: 0, out: '' })
    expect(result.err).toMatch(/^logged in as ada in the role admin until .*; the context is 127\.0\.0\.1\n$/)
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    expect(readFileSync(file(), 'utf8')).not.toContain(password)
    expect((await run('operator list')).out).toContain('ada')
    const { out } = await run('whoami')
    expect(out).toMatch(
      /^operator +ada\nrole +admin\nsession +tok_\w+\nuntil +\S+\nknown by +the session of the context/,
    )
    expect((await run('context list')).out).toMatch(/^\* +127\.0\.0\.1 +https:\S+ +ada +\d{4}/m)
  })

  it('ends by a logout, at the server too', async () => {
    await logIn()
    const token = (JSON.parse(readFileSync(file(), 'utf8')) as { contexts: Record<string, { token: string }> })
      .contexts['127.0.0.1']?.token
    expect(await run('logout')).toMatchObject({ code: 0, err: expect.stringContaining('logged out of') })
    expect(readFileSync(file(), 'utf8')).not.toContain('purser_api_')
    expect(fault(await createAsk(purser)('whoAmI', { token: String(token) }))).toBe('401 unauthenticated')
    expect(await run('operator list')).toMatchObject({ code: 2, err: expect.stringContaining('purser login') })
    expect(await run('logout')).toMatchObject({ code: 2 })
    expect((await run('login', `${password}\n`)).code).toBe(0)
  })

  it('is refused with a wrong password, and stores nothing', async () => {
    const result = await run(`login ada --addr ${purser.url} --ca-file ${ca(purser)}`, 'seven swans on the leak\n')
    expect(result).toMatchObject({ code: 3, out: '' })
    expect(result.err).toContain('the login was refused')
    expect((await run('context list -o json')).out).toContain('"items": []')
    expect(await run(`login ada --addr ${purser.url} --ca-file ${ca(purser)}`)).toMatchObject({ code: 2 })
  })

  it('sends a session only to its own server', async () => {
    await logIn()
    const env = { PURSER_CA_FILE: ca(other) }
    const flag = await run(`operator list --addr ${other.url}`, '', env)
    expect(flag).toMatchObject({ code: 2, err: expect.stringContaining('no API token') })
    expect(await run('operator list', '', { ...env, PURSER_ADDR: other.url })).toMatchObject({ code: 2 })
    // The roots of another server are not trusted either.
    expect(await run(`operator list --addr ${other.url}`, '', { PURSER_API_TOKEN: other.admin })).toMatchObject({
      code: 5,
    })
    const whoami = await run('whoami', '', { PURSER_API_TOKEN: purser.admin })
    expect(whoami.out).toMatch(/^operator +admin/)
  })

  it('knows several servers', async () => {
    await logIn(' --context one')
    await run(`login bea --addr ${other.url} --ca-file ${ca(other)} --context two`, `${password}\n`)
    expect((await run('whoami')).out).toMatch(/^operator +bea/)
    await run('context use one')
    expect((await run('whoami')).out).toMatch(/^operator +ada/)
    expect(await run('context use three')).toMatchObject({ code: 2 })
    await run('context remove one')
    expect(await run('operator list')).toMatchObject({ code: 2 })
    expect((await run('context list')).out).toMatch(/^ +two +/m)
  })

  it('refuses a file that others can read, or that is damaged', async () => {
    await logIn()
    chmodSync(file(), 0o644)
    expect(await run('operator list')).toMatchObject({ code: 2, err: expect.stringContaining('chmod 600') })
    chmodSync(file(), 0o600)
    for (const text of ['{', '[]', '{"contexts":{"x":{}}}', '{"contexts":[1]}']) {
      writeFileSync(file(), text)
      expect(await run('operator list'), text).toMatchObject({ code: 2, err: expect.stringContaining('is damaged') })
    }
  })
})

describe('purser operator password', () => {
  const next = 'nine geese on the pond'

  it('sets that of another operator, and one’s own with the present one', async () => {
    await run(`login ada --addr ${purser.url} --ca-file ${ca(purser)}`, `${password}\n`)
    expect((await run('operator create cleo --role auditor')).code).toBe(0)
    expect(await run('operator password cleo --reason first', `${password}\n`)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^password of cleo set +sessions ended +log 1\/\d+\n$/),
    })
    await run(`login cleo --context cleo`, `${password}\n`)
    expect(await run('operator password self', `${next}\nwrong present one\n`)).toMatchObject({ code: 3 })
    expect(await run('operator password self', `${next}\n${password}\n`)).toMatchObject({ code: 0 })
    expect(await run('operator list')).toMatchObject({ code: 3 })
    expect((await run('login', `${next}\n`)).code).toBe(0)
  })

  it('reports its faults without showing it', async () => {
    await logIn()
    const result = await run('operator password self', 'short one\n')
    expect(result).toMatchObject({ code: 3, err: expect.stringContaining('at least 12 characters') })
    expect(result.err).not.toContain('short one')
  })
})

describe('purser operator recover', () => {
  const env = (): Record<string, string> => {
    const { database, rootKey } = purser.config
    if (database.kind !== 'postgres' || rootKey.kind !== 'value') throw new Error('no Postgres')
    return {
      PURSER_TRUST_DOMAIN: 'example.org',
      PURSER_PUBLIC_URL: 'https://purser.example.org',
      DATABASE_URL: database.url.reveal(),
      PURSER_ROOT_KEY: rootKey.value.reveal(),
    }
  }

  it('sets a password beside a server, ends the sessions, and is in the log', async () => {
    const ask = createAsk(purser)
    await accountWithPassword(ask, 'lost', 'operator')
    await run(`login lost --addr ${purser.url} --ca-file ${ca(purser)}`, `${password}\n`)
    const result = await cli(['operator', 'recover', 'lost', '--reason', 'lost her password'], { env: env() })
    expect(result).toMatchObject({ code: 0, out: expect.stringMatching(/^[\w-]{27}\n$/) })
    await expect.poll(() => run('whoami').then(({ code }) => code), { timeout: 3000 }).toBe(3)
    expect((await run('login', `${password}\n`)).code).toBe(3)
    expect((await run('login', result.out)).code).toBe(0)
    const entry = (await readLog(purser)).findLast(({ action }) => action === 'operator.recover')
    expect(entry).toMatchObject({ actor: { kind: 'system', note: 'lost her password' }, resource: { name: 'lost' } })
    expect(JSON.stringify(entry)).not.toContain(result.out.trim())
  })

  it('is refused for an unknown operator, and with another root key', async () => {
    const unknown = await cli(['operator', 'recover', 'nobody'], { env: env() })
    expect(unknown).toMatchObject({ code: 2, out: '' })
    const key = Buffer.alloc(32, 7).toString('base64')
    const wrong = await cli(['operator', 'recover', 'lost'], { env: { ...env(), PURSER_ROOT_KEY: key } })
    expect(wrong).toMatchObject({ out: '' })
    expect(wrong.code).not.toBe(0)
  })
})
