/**
 * `purser exec --login` at a real OpenID provider: the output and environment of a developer, and every login that
 * must fail.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type LoginProvider, startLoginProvider } from '../support/login-provider.ts'
import { startCli } from '../support/cli.ts'
import { readLog } from '../support/operator.ts'
import { createClient } from '../../src/cli/oidc/client.ts'
import { logInByDevice } from '../../src/cli/oidc/device.ts'
import { startFakeIssuer } from '../support/fake-issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let provider: LoginProvider
let hasty: LoginProvider
let purser: TestPurser
const canary = 'correct-horse-battery-staple'
const patience = { timeout: 20_000, interval: 50 }

const attestor = (name: string, { issuer, caPem }: Pick<LoginProvider, 'issuer' | 'caPem'>) => ({
  name,
  kind: 'oidc',
  issuer,
  caPem,
  audience: 'purser-cli',
  login: { scopes: ['openid', 'groups'] },
})

beforeAll(async () => {
  ;[provider, hasty] = await Promise.all([startLoginProvider(), startLoginProvider({ codeSeconds: 2 })])
  purser = await startPurser({ tls: true, env: { PURSER_FETCH_ALLOW: `${provider.issuer},${hasty.issuer}` } })
  await purser.asAdmin('POST', '/api/v1/attestors', attestor('corp', provider))
  await purser.asAdmin('POST', '/api/v1/attestors', attestor('hasty', hasty))
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'developers',
    attestor: 'corp',

    match: { 'oidc:groups': 'developers' },
    spiffeId: 'spiffe://example.org/corp/{oidc:sub}',
    grants: {
      x509: { maxLifetimeSeconds: 3600 },
      secrets: [{ paths: ['dev/**'], actions: ['read', 'watch'] }],
    },
    maxSessionSeconds: 43_200,
  })
  await purser.asAdmin('PUT', '/api/v1/secrets/dev/db', { data: { password: canary } }, { 'if-match': '"0"' })
}, 60_000)
afterAll(async () => {
  provider.stop()
  hasty.stop()
  await purser.stop()
})

/** A developer's laptop: its own home directory, and no variables of an orchestrator. */
async function laptop() {
  const home = await mkdtemp(join(tmpdir(), 'purser-laptop-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    PURSER_ADDR: purser.url,
    PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
    PURSER_LOG_KEY: purser.vkeys.join(' '),
  }
  const run = (more: string[] = [], flags: string[] = ['--attestor', 'corp']) => {
    let err = ''
    const started = startCli(
      ['exec', '--login', ...flags, '--secret', 'dev/db', '--', process.execPath, '-e', script(home), ...more],
      { env, onError: (text) => (err = text) },
    )
    return {
      ...started,
      link: () =>
        vi.waitFor(() => /open (https:\S+user_code=\S+)/.exec(err)?.[1] ?? Promise.reject(new Error(err)), patience),
    }
  }
  const cache = join(home, '.cache', 'purser')
  return {
    home,
    env,
    run,
    tokens: () => readdirSync(cache).map((name) => join(cache, name)),
    received: () => readFileSync(join(home, 'got'), 'utf8'),
  }
}

const revisionOf = async (name: string): Promise<string> => {
  const { status, body } = await purser.call('GET', `/api/v1/attestors/${name}`, undefined, { token: purser.admin })
  return status === 200 ? `"${String(body['revision'])}"` : '"0"'
}

const script = (home: string): string => `require('fs').writeFileSync('${home}/got', process.env.DB_PASSWORD)`

test('the login attestors are public, and no others', async () => {
  const { status, body } = await purser.call('GET', '/api/v1/logins')
  const login = { clientId: 'purser-cli', scopes: ['openid', 'groups'] }
  expect([status, body['items']]).toEqual([
    200,
    [
      { attestor: 'corp', issuer: provider.issuer, caPem: provider.caPem, ...login },
      { attestor: 'hasty', issuer: hasty.issuer, caPem: hasty.caPem, ...login },
    ],
  ])
})

test('a person of the group logs in once, and the process gets its secrets', async () => {
  const { run, tokens, received } = await laptop()
  const first = run()
  await provider.visit(await first.link(), 'ada')
  const { code, out, err } = await first.result
  expect({ code, out, err: code === 0 ? '' : err }).toEqual({ code: 0, out: '', err: '' })
  expect(received()).toBe(canary)
  expect(err).toMatch(
    /^To log in, open https:\S+ in a browser and enter the code [A-Z-]+\nor open \S+ and compare the code\nWaiting for the login\. The code expires in 60 seconds\nLogged in as ada\n/,
  )

  const [token = '', ...others] = tokens()
  expect([others, (statSync(token).mode & 0o777).toString(8)]).toEqual([[], '600'])
  expect(`${out}${err}`).not.toContain(readFileSync(token, 'utf8').split('.')[1])

  const second = await run().result
  expect(second).toEqual({ code: 0, out: '', err: '' })

  const entries = (await readLog(purser)).filter(
    ({ action, outcome }) => action === 'credentials.issue' && outcome === 'granted',
  )
  expect(entries).toHaveLength(2)
  expect(entries[0]).toMatchObject({
    actor: { kind: 'workload', workload: 'developers', spiffeId: 'spiffe://example.org/corp/ada' },
    issued: { secrets: [{ path: 'dev/db', version: 1 }] },
  })
}, 30_000)

describe('no command runs, and nothing is stored', () => {
  test('for a person of another group, whose refusal is in the log', async () => {
    const { run, home } = await laptop()
    const { link, result } = run()
    await provider.visit(await link(), 'eve')
    const { code, err } = await result
    expect([code, err]).toEqual([3, expect.stringContaining('attestation_failed')])
    expect(readdirSync(home)).toEqual([])
    expect((await readLog(purser)).at(-1)).toMatchObject({
      action: 'credentials.issue',
      outcome: 'refused',
      reason: 'no_workload',
    })
  }, 30_000)

  test('for a login that is denied', async () => {
    const { run, home } = await laptop()
    const { link, result } = run()
    await provider.visit(await link(), 'ada', 'deny')
    const { code, err } = await result
    expect([code, err]).toEqual([3, expect.stringContaining(`the login was denied at ${provider.issuer}`)])
    expect(readdirSync(home)).toEqual([])
  }, 30_000)

  test('for a code that expires', async () => {
    const { run, home } = await laptop()
    const { code, err } = await run([], ['--attestor', 'hasty']).result
    expect([code, err]).toEqual([3, expect.stringContaining('the code expired before the login was confirmed')])
    expect(readdirSync(home)).toEqual([])
  }, 30_000)

  test('after Ctrl-C', async () => {
    const { run, home } = await laptop()
    const { link, result, interrupt } = run()
    await link()
    interrupt()
    expect(await result).toMatchObject({ code: 1, err: expect.stringContaining('the login was cancelled') })
    expect(readdirSync(home)).toEqual([])
  }, 30_000)
})

describe('an ID token of another login is not used', () => {
  test('of another client of the same issuer: the server refuses it', async () => {
    const client = await createClient({
      ...attestor('corp', provider),

      clientId: 'another-app',
      scopes: ['openid', 'groups'],
    })
    let err = ''
    const stderr = new Writable({ write: (chunk: Buffer, _, done) => ((err += chunk.toString()), done()) })
    const login = logInByDevice({ stderr }, { client, nonce: 'n', signal: AbortSignal.timeout(20_000) })
    const link = await vi.waitFor(
      () => /open (https:\S+user_code=\S+)/.exec(err)?.[1] ?? Promise.reject(new Error(err)),
      patience,
    )
    await provider.visit(link, 'ada')
    const { status, body } = await purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await login },
    })
    expect([status, body.code]).toEqual([401, 'attestation_failed'])
    expect((await readLog(purser)).at(-1)).toMatchObject({ outcome: 'refused', reason: 'proof_issuer' })
  }, 30_000)

  test.each([
    ['the nonce', { nonce: 'of another login' }],
    ['the audience', { aud: 'another-app' }],
    ['the issuer', { iss: 'https://issuer.example' }],
    ['the party', { aud: ['purser-cli', 'another-app'], azp: 'another-app' }],
  ])(
    'by %s: this command does not send it',
    async (_, claims) => {
      const fake = await startFakeIssuer({ claims })
      await purser.asAdmin('PUT', '/api/v1/attestors/fake', attestor('fake', fake), {
        'if-match': await revisionOf('fake'),
      })
      const before = (await readLog(purser)).length
      const { run, home } = await laptop()
      const { code, err } = await run([], ['--attestor', 'fake']).result
      expect([code, err]).toEqual([4, expect.stringMatching(/so it was not used/)])
      expect([readdirSync(home), (await readLog(purser)).length]).toEqual([[], before])
    },
    30_000,
  )

  test('by the issuer of the discovery document', async () => {
    const alias = provider.issuer.replace('127.0.0.1', 'localhost')
    await purser.asAdmin('PUT', '/api/v1/attestors/fake', attestor('fake', { ...provider, issuer: alias }), {
      'if-match': await revisionOf('fake'),
    })
    const { run } = await laptop()
    expect(await run([], ['--attestor', 'fake']).result).toMatchObject({
      code: 4,
      err: expect.stringContaining(`the reply of ${alias} is invalid`),
    })
  })
})

test('an issuer with slow_down is polled less often', async () => {
  const fake = await startFakeIssuer({ replies: ['authorization_pending', 'slow_down', 'access_denied'] })
  await purser.asAdmin('PUT', '/api/v1/attestors/fake', attestor('fake', fake), {
    'if-match': await revisionOf('fake'),
  })
  const { run } = await laptop()
  expect(await run([], ['--attestor', 'fake']).result).toMatchObject({
    code: 3,
    err: expect.stringContaining('the login was denied'),
  })
  const [first = 0, second = 0, third = 0] = fake.polls()
  expect(second - first).toBeLessThan(4_000)
  expect(third - second).toBeGreaterThan(5_000)
}, 30_000)

test.each([
  ['an attestor without a login', ['--attestor', 'lab'], 2, 'has no login: use one of corp'],
  ['no attestor, where several have a login', [], 2, 'several attestors have a login: name one with --attestor: corp'],
  ['a file with a proof', ['--proof-file', 'token'], 2, "option '--login' cannot be used with option '--proof-file"],
])('refuses %s', async (_, flags, code, words) => {
  const { run } = await laptop()
  expect(await run([], flags).result).toMatchObject({ code, err: expect.stringContaining(words) })
})
