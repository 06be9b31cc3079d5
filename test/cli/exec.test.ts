/**
 * `purser exec` with real commands: their environment and files, the behaviour on changes, and that no secret leaks.
 */
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { coalesce } from '../../src/cli/exec/on-change.ts'
import { startCli } from '../support/cli.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { createPlace } from '../support/place.ts'
import { spawnPurser } from '../support/process.ts'
import type { TestPurser } from '../support/purser.ts'
import { frontDoorStore } from '../support/stores.ts'

const canary = 'correct-horse-battery-staple'
const patience = { timeout: 30_000, interval: 50 }

let place: Awaited<ReturnType<typeof createPlace>>
let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  place = await createPlace(frontDoorStore)
  purser = await place.start('', {}, true)
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'shop',
    attestor: 'lab',
    match: { 'oidc:sub': 'shop' },
    spiffeId: 'spiffe://example.org/lab/shop',
    grants: {
      x509: { maxLifetimeSeconds: 3600 },
      secrets: [{ paths: ['prod/**'], actions: ['read', 'watch'] }],
    },
  })
}, 60_000)
afterAll(async () => {
  await purser.stop()
  await place.remove()
})

const put = (path: string, data: object, version: number) =>
  purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data }, { 'if-match': `"${version}"` })
const acked = async (path: string): Promise<number[]> =>
  (
    await purser
      .knex('secret_consumer as c')
      .join('secret as s', 's.id', 'c.secret_id')
      .where('s.path', path)
      .whereNotNull('acked_at')
      .orderBy('c.version')
      .select('c.version')
  ).map((row: { version: number }) => row.version)

async function prepare() {
  const dir = await mkdtemp(join(tmpdir(), 'purser-exec-test-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  await writeFile(join(dir, 'token'), await issuer.token({ sub: 'shop' }))
  const env = {
    PATH: process.env.PATH ?? '',
    PURSER_ADDR: purser.url,
    PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
    PURSER_LOG_KEY: purser.vkeys.join(' '),
    PURSER_PROOF_FILE: join(dir, 'token'),
    LOG: join(dir, 'log'),
  }
  const lines = (): string[] => (existsSync(env.LOG) ? readFileSync(env.LOG, 'utf8').split('\n').filter(Boolean) : [])
  return { dir, env, lines }
}

async function exec(flags: string[], script: string) {
  const at = await prepare()
  let err = ''
  const started = startCli(['exec', ...flags, '--', process.execPath, '-e', script], {
    env: at.env,
    onError: (text) => (err = text),
  })
  onTestFinished(async () => {
    started.signal('SIGTERM')
    started.signal('SIGUSR2')
    await started.result
  })
  return { ...at, ...started, err: () => err }
}

const logScript = (words: string): string => `require('fs').appendFileSync(process.env.LOG, ${words} + '\\n')`
const stays = 'setInterval(() => {}, 1000)'

describe('the environment and files of the command', () => {
  beforeAll(async () => {
    await put('prod/db', { username: 'app', password: canary }, 0)
    await put('prod/one', { key: `${canary}-one` }, 0)
    await put('prod/odd', { 'a-b.c': 1, nested: { x: [true] }, zero: 'a\0b' }, 0)
  })

  test('variables, by each form of the option', async () => {
    const flags = ['prod/db', 'prod/one=ONE', 'prod/db#password=PGPASSWORD', 'prod/db=ALL', 'prod/odd#nested']
    const { result, lines } = await exec(
      flags.flatMap((flag) => ['--secret', flag]),
      logScript('JSON.stringify(process.env)'),
    )
    expect((await result).code).toBe(0)
    expect(JSON.parse(lines()[0] ?? '')).toMatchObject({
      DB_USERNAME: 'app',
      DB_PASSWORD: canary,
      ONE: `${canary}-one`,
      PGPASSWORD: canary,
      ALL: JSON.stringify({ username: 'app', password: canary }),
      ODD_NESTED: '{"x":[true]}',
    })
  })

  test('files that only their owner can read, in a directory that is removed at the end', async () => {
    const { result, lines } = await exec(
      ['--secret', 'prod/one=file:key', '--secret', 'prod/db#password=file:password'],
      logScript(
        `[process.env.PURSER_SECRETS_DIR, require('fs').readFileSync(process.env.PURSER_SECRETS_DIR + '/key', 'utf8'),
          (require('fs').statSync(process.env.PURSER_SECRETS_DIR + '/password').mode & 0o777).toString(8),
          (require('fs').statSync(process.env.PURSER_SECRETS_DIR).mode & 0o777).toString(8)].join(' ')`,
      ),
    )
    expect((await result).code).toBe(0)
    const [dir = '', ...rest] = lines()[0]?.split(' ') ?? []
    expect(rest).toEqual([`${canary}-one`, '600', '700'])
    expect(existsSync(dir)).toBe(false)
  })

  test('files in a directory of the caller, which stays without them, unless others may write to it', async () => {
    const { dir } = await prepare()
    const { result } = await exec(['--dir', dir, '--secret', 'prod/one=file:key'], '0')
    expect((await result).code).toBe(0)
    expect(statSync(dir).isDirectory() && readdirSync(dir)).toEqual(['token'])
    execFileSync('chmod', ['777', dir])
    const other = await exec(['--dir', dir, '--secret', 'prod/one=file:key'], logScript('1'))
    expect((await other.result).err).toContain('is not safe for secrets')
    expect(other.lines()).toEqual([])
  })

  test('variables that change how programs run only by an explicit name', async () => {
    await put('prod/node', { options: '--title=named', 'tls-reject-unauthorized': '0' }, 0)
    await put('prod/ld', { preload: '/tmp/other.so' }, 0)
    for (const flag of ['prod/node', 'prod/ld', 'prod/node#options', 'prod/ld#preload']) {
      const { result, lines } = await exec(['--secret', flag], logScript('1'))
      const { code, err } = await result
      expect([flag, code, lines()]).toEqual([flag, flag.includes('#') ? 2 : 1, []])
      expect(err).toMatch(/(?:NODE_OPTIONS|LD_PRELOAD),? (?:which )?changes how programs run/)
      expect(err).not.toContain('named')
    }
    const { result, lines } = await exec(['--secret', 'prod/node#options=NODE_OPTIONS'], logScript('process.title'))
    expect((await result).code).toBe(0)
    expect(lines()).toEqual(['named'])
  })

  test('none of the proofs, tokens and keys of the caller', async () => {
    const { env, lines } = await prepare()
    const own = {
      PURSER_API_TOKEN: canary,
      PURSER_ID_TOKEN: canary,
      PURSER_ROOT_KEY: canary,
      PURSER_MIGRATE_DATABASE_URL: `postgres://owner:${canary}@db/purser`,
      PURSER_STATE_DIR: join(env.LOG, '..', 'state'),
    }
    const script = logScript("Object.keys(process.env).filter((name) => name.startsWith('PURSER_')).sort().join(' ')")
    const { result } = startCli(['exec', '--secret', 'prod/one=ONE', '--', process.execPath, '-e', script], {
      env: { ...env, ...own },
    })
    expect(await result).toMatchObject({ code: 0 })
    expect(lines()).toEqual(['PURSER_ADDR PURSER_CA_FILE PURSER_LOG_KEY'])
  })

  test('no files in a directory of another user', async () => {
    const { dir } = await prepare()
    const ownedDir = join(dir, 'lent')
    mkdirSync(ownedDir, { mode: 0o700 })
    chownSync(ownedDir, 12_345, 12_345)
    const { result, lines } = await exec(['--dir', ownedDir, '--secret', 'prod/one=file:key'], logScript('1'))
    const { code, err } = await result
    expect([code, lines(), readdirSync(ownedDir)]).toEqual([1, [], []])
    expect(err).toContain('it belongs to user 12345')
  })

  test.each([
    ['a secret that is not granted', ['--secret', 'other/x'], 3, 'not_granted'],
    ['a missing secret', ['--secret', 'prod/none'], 3, 'not_found'],
    ['a missing member', ['--secret', 'prod/db#none'], 1, 'has no member'],
    ['a zero byte', ['--secret', 'prod/odd#zero'], 1, 'zero byte'],
    ['two in one place', ['--secret', 'prod/db=A', '--secret', 'prod/one=A'], 2, 'two secrets'],
    ['no path', ['--secret', `NO PATH ${canary}`], 2, 'give path'],
    ['a file elsewhere', ['--secret', 'prod/db=file:../x'], 2, 'file name'],
    ['a signal for variables', ['--secret', 'prod/db', '--on-change', 'signal:SIGHUP'], 2, 'cannot change'],
    ['no signal', ['--secret', 'prod/db=file:x', '--on-change', 'signal:SIGKILL'], 2, '--on-change must be'],
  ])('no command runs for %s', async (_, flags, code, words) => {
    const { result, lines } = await exec(flags, logScript('1'))
    const done = await result
    expect([done.code, lines()]).toEqual([code, []])
    expect(done.err).toContain(words)
    expect(done.err).not.toContain(canary)
  })

  test('a missing command is 127, and the exit code of a command is the result', async () => {
    const { env } = await prepare()
    const missing = startCli(['exec', '--', '/nonexistent/command'], { env })
    expect((await missing.result).code).toBe(127)
    const { result } = await exec(['--no-x509', '--secret', 'prod/one'], 'process.exit(42)')
    expect(await result).toMatchObject({ code: 42, out: '', err: '' })
  })
})

test('simultaneous calls cause one act, and calls during it cause another', async () => {
  let acts = 0
  let release = (): void => undefined
  const act = coalesce(async () => {
    acts++
    await new Promise<void>((resolve) => (release = resolve))
  })
  const both = [act(), act()]
  await vi.waitFor(() => expect(acts).toBe(1), patience)
  const later = [act(), act()]
  release()
  await Promise.all(both)
  await vi.waitFor(() => expect(acts).toBe(2), patience)
  release()
  await Promise.all(later)
  expect(acts).toBe(2)
})

describe('when it changes', () => {
  test('the command is ended and started with the new version, which is acknowledged then', async () => {
    await put('prod/r/a', { v: `${canary}-1` }, 0)
    await put('prod/r/b', { v: `${canary}-1` }, 0)
    const { lines, err } = await exec(
      ['--secret', 'prod/r/a', '--secret', 'prod/r/b'],
      `${logScript("'up ' + process.env.A_V + ' ' + process.env.B_V")}; process.on('SIGTERM', () => { ${logScript("'term'")}; process.exit(0) }); ${stays}`,
    )
    await vi.waitFor(() => expect(lines()).toEqual([`up ${canary}-1 ${canary}-1`]), patience)
    await Promise.all([put('prod/r/a', { v: `${canary}-2` }, 1), put('prod/r/b', { v: `${canary}-2` }, 1)])
    await vi.waitFor(() => expect(lines().at(-1)).toBe(`up ${canary}-2 ${canary}-2`), patience)
    await vi.waitFor(
      async () => expect([await acked('prod/r/a'), await acked('prod/r/b')]).toEqual([[2], [2]]),
      patience,
    )
    const ups = lines().filter((line) => line.startsWith('up'))
    expect(lines().filter((line) => line === 'term')).toHaveLength(ups.length - 1)
    expect(err()).toContain('prod/r/a is at version 2')
    expect(err()).not.toContain(canary)
  })

  test('a command that ignores SIGTERM is killed after the grace period', async () => {
    await put('prod/deaf', { v: '1' }, 0)
    const { lines } = await exec(
      ['--secret', 'prod/deaf', '--grace', '1s'],
      `process.on('SIGTERM', () => {}); process.on('SIGUSR2', () => process.exit(0)); ${logScript('process.env.DEAF_V')}; ${stays}`,
    )
    await vi.waitFor(() => expect(lines()).toEqual(['1']), patience)
    await put('prod/deaf', { v: '2' }, 1)
    await vi.waitFor(() => expect(lines()).toEqual(['1', '2']), patience)
  })

  test('or it gets a signal once its files are new, and continues', async () => {
    await put('prod/s', { v: '1' }, 0)
    const { lines } = await exec(
      ['--secret', 'prod/s=file:s', '--on-change', 'signal:HUP'],
      `const show = (name) => ${logScript("name + ' ' + process.pid + ' ' + require('fs').readFileSync(process.env.PURSER_SECRETS_DIR + '/s', 'utf8')")};
       process.on('SIGHUP', () => show('hup')); process.on('SIGTERM', () => process.exit(0)); show('up'); ${stays}`,
    )
    await vi.waitFor(() => expect(lines()).toHaveLength(1), patience)
    await put('prod/s', { v: '2' }, 1)
    await vi.waitFor(() => expect(lines()).toHaveLength(2), patience)
    const [up = [], hup = []] = lines().map((line) => line.split(' '))
    expect([up[0], up[2], hup[0], hup[2]]).toEqual(['up', '1', 'hup', '2'])
    expect(up[1]).toBe(hup[1])
    await vi.waitFor(async () => expect(await acked('prod/s')).toEqual([2]), patience)
  })

  test('or only its files are new, and nothing is acknowledged', async () => {
    await put('prod/n', { v: '1' }, 0)
    const { err, lines } = await exec(
      ['--secret', 'prod/n=file:n', '--on-change', 'none'],
      `const read = () => require('fs').readFileSync(process.env.PURSER_SECRETS_DIR + '/n', 'utf8');
       process.on('SIGTERM', () => process.exit(0)); let last = ''; setInterval(() => { if (read() !== last) { last = read(); ${logScript('last')} } }, 20)`,
    )
    await vi.waitFor(() => expect(lines()).toEqual(['1']), patience)
    await put('prod/n', { v: '2' }, 1)
    await vi.waitFor(() => expect(lines()).toEqual(['1', '2']), patience)
    expect(await acked('prod/n')).toEqual([])
    expect(err()).toContain('prod/n is at version 2')
  })

  test('and a secret in variables only is not fetched again: the command still has the old version', async () => {
    await put('prod/kept', { v: '1' }, 0)
    await put('prod/written', { v: '1' }, 0)
    const { err, lines } = await exec(
      ['--secret', 'prod/kept#v=KEPT', '--secret', 'prod/written=file:w', '--on-change', 'none'],
      `process.on('SIGTERM', () => process.exit(0)); ${logScript('process.env.KEPT')}; ${stays}`,
    )
    await vi.waitFor(() => expect(lines()).toEqual(['1']), patience)
    await put('prod/kept', { v: '2' }, 1)
    await put('prod/written', { v: '2' }, 1)
    await vi.waitFor(() => expect(err()).toContain('prod/written is at version 2'), patience)
    const { body } = await purser.asAdmin('GET', '/api/v1/secrets/prod/kept:consumers')
    expect((body['items'] as { version: number }[]).map((consumer) => consumer.version)).toEqual([1])
  })

  test('a new version that cannot be rendered: the command continues with the old version, and nothing is acknowledged', async () => {
    await put('prod/bad', { v: '1' }, 0)
    const { err, lines } = await exec(
      ['--secret', 'prod/bad#v'],
      `process.on('SIGTERM', () => process.exit(0)); ${logScript('process.env.BAD_V')}; ${stays}`,
    )
    await vi.waitFor(() => expect(lines()).toEqual(['1']), patience)
    await put('prod/bad', { w: canary }, 1)
    await vi.waitFor(() => expect(err()).toContain('has no member v'), patience)
    expect([lines(), await acked('prod/bad')]).toEqual([['1'], []])
    await put('prod/bad', { v: '3' }, 2)
    await vi.waitFor(() => expect(lines()).toEqual(['1', '3']), patience)
    expect(err()).not.toContain(canary)
  })
})

test('as a process: signals are passed on, values are on no command line, and an outage of Purser has no effect', async () => {
  await put('prod/p', { v: canary }, 0)
  const { env, lines } = await prepare()
  const script = `process.on('SIGUSR1', () => ${logScript("'usr1'")}); process.on('SIGTERM', () => process.exit(7)); ${logScript("'up ' + process.env.P_V")}; ${stays}`
  const running = spawnPurser(['exec', '--secret', 'prod/p', '--', process.execPath, '-e', script], env)
  await vi.waitFor(() => expect(lines()).toEqual([`up ${canary}`]), patience)
  expect(execFileSync('ps', ['-eo', 'args']).toString()).not.toContain(canary)
  const listen = new URL(purser.url).host
  await purser.stop()
  running.child.kill('SIGUSR1')
  await vi.waitFor(() => expect(lines()).toContain('usr1'), patience)
  purser = await place.start(purser.admin, { PURSER_LISTEN: listen }, true)
  await put('prod/p', { v: `${canary}-2` }, 1)
  await vi.waitFor(() => expect(lines().at(-1)).toBe(`up ${canary}-2`), { ...patience, timeout: 60_000 })
  running.child.kill('SIGTERM')
  expect(await running.ended).toEqual({ code: 7, signal: null })
  expect(running.out() + running.err()).not.toContain(canary)
})
