/** `purser operator totp` against a real server over TLS. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CommandResult, cli, startCli } from '../support/cli.ts'
import { accountWithPassword, logIn, password, sessionOf } from '../support/logins.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let ask: Ask
const home = mkdtempSync(join(tmpdir(), 'purser-home-'))
beforeAll(async () => {
  purser = await startPurser({ tls: true, store: 'postgres' })
  ask = createAsk(purser)
})
afterAll(async () => {
  await purser.stop()
  rmSync(home, { recursive: true, force: true })
})

const envOf = (token: string) => ({
  HOME: home,
  PURSER_ADDR: purser.url,
  PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  PURSER_API_TOKEN: token,
})
const run = (token: string, line: string, stdin = ''): Promise<CommandResult> =>
  cli(`operator totp ${line}`.split(' '), { env: envOf(token), stdin })

async function newSession(name: string): Promise<string> {
  await accountWithPassword(ask, name, 'operator')
  return sessionOf(purser, name)
}

/** @param steps later than now: each code counts once */
const codeOf = (secret: string, steps = 0): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: Date.now() + steps * 30_000 })
const secretIn = (text: string): string => /secret=([A-Z2-7]+)/.exec(text)?.[1] ?? ''
const loginOf = async (operator: string, code?: string): Promise<string> =>
  fault(await logIn(purser, { operator, password, ...(code !== undefined && { code }) }))

const recoveryCodes = /^(?:[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\n){10}$/

describe('without a terminal', () => {
  it('adds an app in two steps, and removes it with a code', async () => {
    const token = await newSession('ada')
    const added = await run(token, 'add')
    expect(added.out).toMatch(/^otpauth:\/\/totp\/\S+\n$/)
    expect(added.err).toContain('purser operator totp confirm')
    expect(await loginOf('ada')).toBe('201 ')
    const secret = secretIn(added.out)
    const wrong = await run(token, 'confirm', '000000\n')
    expect(wrong).toMatchObject({ out: '', err: expect.stringContaining('/code') })
    expect(wrong.code).not.toBe(0)
    const confirmed = await run(token, 'confirm', `${codeOf(secret)}\n`)
    expect(confirmed).toMatchObject({ code: 0, out: expect.stringMatching(recoveryCodes) })
    expect(confirmed.err).toContain('each recovery code works once')
    expect(await loginOf('ada')).toBe('401 code_required')
    expect(await run(token, 'add')).toMatchObject({ code: 3, out: '', err: expect.stringContaining('remove it first') })
    expect((await run(token, 'remove')).code).toBe(2)
    const removed = await run(token, 'remove ada', `${confirmed.out.split('\n')[0]}\n`)
    expect(removed).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^second factor of ada removed +log 1\/\d+\n$/),
    })
    expect(await loginOf('ada')).toBe('201 ')
  })

  it('prints JSON for programs', async () => {
    const token = await newSession('json')
    const { uri, secret } = JSON.parse((await run(token, 'add --output json')).out) as Record<string, string>
    expect(secretIn(uri ?? '')).toBe(secret)
    const { out } = await run(token, 'confirm --output json', `${codeOf(secret ?? '')}\n`)
    expect(JSON.parse(out)).toEqual({ recoveryCodes: expect.arrayContaining([expect.any(String)]) })
  })

  it('lets an admin remove that of another operator without a code', async () => {
    const token = await newSession('lost')
    const secret = secretIn((await run(token, 'add')).out)
    await run(token, 'confirm', `${codeOf(secret)}\n`)
    const removed = await run(purser.admin, 'remove lost --reason phone')
    expect(removed).toMatchObject({ code: 0, out: expect.stringContaining('second factor of lost removed') })
    expect(await loginOf('lost')).toBe('201 ')
    expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')
  })
})

it('on a terminal, shows a QR code, forgives a mistyped code, and keeps stdout for the recovery codes', async () => {
  const token = await newSession('typed')
  const stdin = new PassThrough()
  let step = 0
  const onError = (err: string): void => {
    const prompts = err.split('code of the authenticator app: ').length - 1
    if (prompts === 1 && step === 0) stdin.write('12345\n')
    if (prompts === 2 && step === 1) stdin.write(`${codeOf(secretIn(err))}\n`)
    step = prompts
  }
  const { result } = startCli(['operator', 'totp', 'add'], { env: envOf(token), stdin, typed: true, onError })
  const { code, out, err } = await result
  expect(code, err).toBe(0)
  expect(out).toMatch(recoveryCodes)
  expect(err.split('\n').length).toBeGreaterThan(30)
  expect(err).toContain('type the one that the app shows now')
  expect(await loginOf('typed', codeOf(secretIn(err), 1))).toBe('201 ')
})
