/** `purser login --oidc` and `--device` at a real OpenID provider, and redirects that must be ignored. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { account } from '../support/accounts.ts'
import { startCli } from '../support/cli.ts'
import { type LoginProvider, startLoginProvider } from '../support/login-provider.ts'
import { createAsk } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let provider: LoginProvider
let purser: TestPurser
const patience = { timeout: 20_000, interval: 50 }

const settingsFor = ({ issuer, caPem }: LoginProvider) => ({
  PURSER_FETCH_ALLOW: issuer,
  PURSER_OPERATOR_LOGIN_ISSUER: issuer,
  PURSER_OPERATOR_LOGIN_CLIENT_ID: 'purser-cli',
  PURSER_OPERATOR_LOGIN_SCOPES: 'openid,profile,groups',
  PURSER_OPERATOR_LOGIN_ROLES: 'operator:groups=operators',
  PURSER_OPERATOR_LOGIN_CA_PEM: caPem,
})

beforeAll(async () => {
  provider = await startLoginProvider({
    groups: { ada: ['operators'], bob: ['operators'] },
    clients: [
      {
        id: 'purser-cli',
        grants: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
        redirectUris: ['http://127.0.0.1/callback'],
      },
    ],
  })
  purser = await startPurser({ tls: true, env: settingsFor(provider) })
  await account(createAsk(purser), 'ada', 'operator')
}, 60_000)
afterAll(async () => {
  provider.stop()
  await purser.stop()
})

async function start(flag: '--oidc' | '--device', { url, dataDir } = purser) {
  const home = await mkdtemp(join(tmpdir(), 'purser-login-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  const env = { HOME: home, PURSER_ADDR: url, PURSER_CA_FILE: join(dataDir, 'ca.pem') }
  let err = ''
  const started = startCli(['login', flag], { env, onError: (text) => (err = text) })
  const link = await vi.waitFor(
    () => /(?:machine:|or open) (\S+)/.exec(err)?.[1] ?? Promise.reject(new Error(err)),
    patience,
  )
  return { ...started, env, link, context: () => readFile(join(home, '.config/purser/config.json'), 'utf8') }
}

/** The person logs in, and the browser is redirected to the command. */
async function redirectFor(link: string, person: string, deny?: 'deny'): Promise<URL> {
  const location = new URL(await provider.visit(link, person, deny))
  expect(location.origin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  return location
}

const follow = async (url: URL): Promise<number> => (await fetch(url)).status

test('--oidc: the browser returns to the command, and later commands have the session', async () => {
  const { link, result, env, context } = await start('--oidc')
  expect(Object.fromEntries(new URL(link).searchParams)).toMatchObject({
    code_challenge_method: 'S256',
    response_type: 'code',
  })
  const location = await redirectFor(link, 'ada')
  expect(await follow(location)).toBe(200)
  const { code, out, err } = await result
  expect([code, out]).toEqual([0, ''])
  await expect(follow(location), 'the command takes one code').rejects.toThrow('fetch failed')
  expect(err).toMatch(/logged in as ada in the role operator until /)
  const { token } =
    Object.values((JSON.parse(await context()) as { contexts: Record<string, { token: string }> }).contexts)[0] ?? {}
  expect(token).toMatch(/^purser_api_/)
  expect(err).not.toContain(token)
  const { PURSER_ADDR: _, ...later } = env
  expect(await startCli(['whoami'], { env: later }).result).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^operator +ada$/m),
  })
}, 30_000)

test('a redirect with another state gets 400 and is ignored, as is one without a code', async () => {
  const { link, result } = await start('--oidc')
  const location = await redirectFor(link, 'ada')
  const foreign = new URL(location)
  foreign.searchParams.set('state', 'of-another-login')
  expect(await follow(foreign)).toBe(400)
  expect(await follow(new URL('/', location))).toBe(400)
  expect(await follow(location)).toBe(200)
  expect(await result).toMatchObject({ code: 0 })
}, 30_000)

test.each([
  ['of another issuer (mix-up)', 'iss', 'https://issuer.example', 4, 'is invalid, so it was not used'],
  ['with a code that the provider did not issue', 'code', 'made-up', 3, 'invalid_grant'],
])(
  'a redirect %s is refused',
  async (_, name, value, code, words) => {
    const { link, result, context } = await start('--oidc')
    const location = await redirectFor(link, 'ada')
    location.searchParams.set(name, value)
    await follow(location)
    expect(await result).toMatchObject({ code, err: expect.stringContaining(words) })
    await expect(context()).rejects.toThrow('ENOENT')
  },
  30_000,
)

test('a person without an operator is refused, with the remedy', async () => {
  const { link, result } = await start('--oidc')
  await follow(await redirectFor(link, 'bob'))
  expect(await result).toMatchObject({ code: 3, err: expect.stringContaining('ask an admin') })
}, 30_000)

test('after Ctrl-C nothing is stored', async () => {
  const { result, interrupt } = await start('--oidc')
  interrupt()
  expect(await result).toMatchObject({ code: 1, err: expect.stringContaining('the login was cancelled') })
}, 30_000)

test('--device is refused when the provider returns no nonce', async () => {
  const { link, result } = await start('--device')
  await provider.visit(link, 'ada')
  expect(await result).toMatchObject({ code: 1, err: expect.stringContaining('returns no nonce for device codes') })
}, 30_000)

test('--device creates a session when it does', async () => {
  const provider = await startLoginProvider({ groups: { ada: ['operators'] }, deviceNonce: true })
  onTestFinished(() => provider.stop())
  const second = await startPurser({ tls: true, env: settingsFor(provider) })
  onTestFinished(() => second.stop())
  await account(createAsk(second), 'ada', 'operator')
  const { link, result } = await start('--device', second)
  await provider.visit(link, 'ada')
  expect(await result).toMatchObject({ code: 0, err: expect.stringContaining('logged in as ada in the role operator') })
}, 40_000)
