/**
 * `purser credentials --watch`: lifetimes of seconds, a server that stops and returns, commands that fail or take
 * long.
 */
import { spawn } from 'node:child_process'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { proofFor, rootPem, startFake } from '../sdk/fake-purser.ts'
import { startCli } from '../support/cli.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { createPlace } from '../support/place.ts'
import type { TestPurser } from '../support/purser.ts'
import { builtMain } from '../support/main.ts'
import { frontDoorStore } from '../support/stores.ts'

let place: Awaited<ReturnType<typeof createPlace>>
let purser: TestPurser
let issuer: Issuer

/** The bundle is read again every few seconds. */
const often = { PURSER_BUNDLE_REFRESH_SECONDS: '4' }

beforeAll(async () => {
  place = await createPlace(frontDoorStore)
  purser = await place.start('', often, true)
  issuer = await createIssuer()
  await registerLab(purser, issuer)
}, 60_000)
afterAll(async () => {
  await purser.stop()
  await place.remove()
})

/** Restarts the server at its old address with its old state. */
const startAgain = async (): Promise<void> => {
  purser = await place.start(purser.admin, { ...often, PURSER_LISTEN: new URL(purser.url).host }, true)
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'purser-watch-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

const environment = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  PURSER_ADDR: purser.url,
  PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  PURSER_LOG_KEY: purser.vkeys.join(' '),
})

type Watch = { dir: string; out: string; log: string; token: string }

async function prepare(): Promise<Watch> {
  const dir = await folder()
  const token = join(dir, 'token')
  await writeFile(token, await issuer.token())
  return { dir, out: join(dir, 'out'), log: join(dir, 'log'), token }
}

async function watching(options: string[], env: Record<string, string> = {}) {
  const at = await prepare()
  let err = ''
  const argv = ['credentials', '--out', at.out, '--proof-file', at.token, '--watch', ...options]
  const { result, signal } = startCli(argv, {
    env: { ...environment(), LOG: at.log, ...env },
    onError: (text) => (err = text),
  })
  onTestFinished(async () => {
    signal('SIGTERM')
    await result
  })
  return {
    ...at,
    result,
    signal,
    err: () => err,
    /** The lines that the command has written to $LOG so far. */
    logLines: () => (existsSync(at.log) ? readFileSync(at.log, 'utf8').split('\n').filter(Boolean) : []),
    untilStderr: (words: RegExp | string) =>
      vi.waitFor(() => expect(err).toMatch(words), { timeout: 60_000, interval: 50 }),
  }
}
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 50 })
const serialIn = (pem: string): string => new X509Certificate(pem).serialNumber.toLowerCase()
const count = (text: string, words: RegExp): number => [...text.matchAll(new RegExp(words, 'g'))].length

describe('a watch that never starts', () => {
  test.each([
    ['5 without a server', ['--addr', 'https://127.0.0.1:1'], 5],
    ['2 without a proof', ['--proof-file', '/nonexistent'], 2],
    ['2 without a request', ['--no-x509'], 2],
  ])('ends with %s, and writes nothing', async (_, argv, code) => {
    const { result, out } = await watching([...argv, '--on-renew', 'echo ran >&2'])
    const outcome = await result
    expect(outcome).toMatchObject({ code, out: '' })
    expect(outcome.err).not.toContain('ran')
    expect(existsSync(out)).toBe(false)
  })
})

describe('the command', () => {
  test('that fails causes a warning with its exit code, and the watch continues', async () => {
    const { untilStderr, err, signal, result } = await watching([
      '--lifetime',
      '6s',
      '--on-renew',
      'echo out; echo no >&2; exit 7',
    ])
    await untilStderr(/(renewed by certificate; serial[^]*){2}/)
    await untilStderr(/(ended with exit code 7[^]*){3}/)
    expect(err()).toContain('out\n')
    signal('SIGTERM')
    expect((await result).code).toBe(0)
    // The command's stdout is not part of the result.
    expect((await result).out).not.toContain('out\n')
  }, 90_000)

  test('a missing command and one that ends by a signal cause a warning', async () => {
    const { untilStderr } = await watching(['--on-renew', 'exec /nonexistent/tool'])
    await untilStderr('ended with exit code 127')
    const other = await watching(['--on-renew', 'kill -9 $$'])
    await other.untilStderr('ended with the signal SIGKILL')
  }, 60_000)

  test('that takes long runs alone, and once more for all later changes', async () => {
    const command =
      'echo start $PURSER_SERIAL_NUMBER >> $LOG; until [ -e $LOG.go ]; do sleep 0.1; done; echo end >> $LOG'
    const { log, logLines, err, untilStderr } = await watching(['--lifetime', '6s', '--on-renew', command])
    await untilStderr(/(renewed by [^]*){3}/)
    expect(logLines()).toEqual([expect.stringMatching(/^start /)])
    const passedOver = [...err().matchAll(/serial ([0-9a-f]+)/g)].map(([, serial]) => `start ${serial ?? ''}`)
    await writeFile(`${log}.go`, '')
    await until(() => expect(logLines().length).toBeGreaterThanOrEqual(4))
    const [first = '', second, third = '', fourth] = logLines()
    expect([second, fourth]).toEqual(['end', 'end'])
    // The first set is only on stdout. Of the others, only the newest ran the command.
    expect(passedOver).not.toContain(first)
    expect(passedOver.slice(0, 2)).not.toContain(third)
  }, 120_000)

  test('gets the signal that ends the watch, and the watch waits for it', async () => {
    const command = `trap 'echo told >> $LOG; exit 3' TERM; echo up >> $LOG; while :; do sleep 1; done`
    const { logLines, signal, result } = await watching(['--on-renew', command])
    await until(() => expect(logLines()).toEqual(['up']))
    signal('SIGTERM')
    expect((await result).code).toBe(0)
    expect(logLines()).toEqual(['up', 'told'])
  }, 60_000)

  test('without --watch runs once, and its failure is that of the whole', async () => {
    const { dir, out, log, token } = await prepare()
    const argv = ['credentials', '--out', out, '--proof-file', token, '--on-renew']
    const options = { env: { ...environment(), LOG: log } }
    const well = await startCli([...argv, 'ls $PURSER_OUT > $LOG'], options).result
    expect(well.code).toBe(0)
    expect(await readFile(log, 'utf8')).toBe('ca.crt\nreceipt.json\ntls.crt\ntls.key\ntls.pem\n')
    const badly = await startCli([...argv, `exit 4`], options).result
    expect(badly).toMatchObject({ code: 1, err: expect.stringContaining('ended with exit code 4') })
    expect(await readdir(dir)).toEqual(['log', 'out', 'token'])
  }, 60_000)
})

test('renewals before and after an outage past the expiry: each set of files belongs together', async () => {
  const command =
    'mkdir -p $LOG; cp $PURSER_OUT/tls.pem $LOG/$PURSER_SERIAL_NUMBER; cat $PURSER_OUT/tls.key $PURSER_OUT/tls.crt | cmp - $PURSER_OUT/tls.pem'
  const watch = await watching(['--lifetime', '8s', '--audience', 'payments', '--on-renew', command])
  await watch.untilStderr(/(renewed by certificate; serial[^]*){2}/)
  const jwt = readFileSync(join(watch.out, 'jwt-payments'), 'utf8')

  await purser.stop()
  await watch.untilStderr('Purser cannot be reached')
  await watch.untilStderr('warning: the certificate expired at')
  await watch.untilStderr('warning: jwt-payments expired at')
  const before = await readFile(join(watch.out, 'tls.pem'), 'utf8')
  expect(watch.err()).not.toContain('Purser can be reached again')
  await startAgain()
  await watch.untilStderr('Purser can be reached again, after')
  await watch.untilStderr(/Purser can be reached again[^]*renewed by proof; serial[^]*renewed by certificate; serial/)

  watch.signal('SIGTERM')
  expect((await watch.result).code).toBe(0)
  expect(count(watch.err(), /Purser cannot be reached/)).toBe(1)
  expect(count(watch.err(), /Purser can be reached again/)).toBe(1)
  expect(await readFile(join(watch.out, 'tls.pem'), 'utf8')).not.toBe(before)
  expect(await readFile(join(watch.out, 'jwt-payments'), 'utf8')).not.toBe(jwt)
  for (const name of await readdir(watch.out)) expect((await stat(join(watch.out, name))).mode & 0o777).toBe(0o600)
  const names = ['ca.crt', 'jwt-payments', 'receipt.json', 'tls.crt', 'tls.key', 'tls.pem']
  expect((await readdir(watch.out)).sort()).toEqual(names)
  // For every run of the command, the key fits the certificate, and the serial number is that of the variable.
  const sets = await readdir(watch.log)
  expect(sets.length).toBeGreaterThanOrEqual(4)
  for (const serial of sets) {
    const pem = await readFile(join(watch.log, serial), 'utf8')
    expect(serialIn(pem)).toBe(serial)
    expect(new X509Certificate(pem).checkPrivateKey(createPrivateKey(pem))).toBe(true)
  }
  expect(watch.err()).not.toContain('ended with exit code')
}, 180_000)

test('changed roots are written without a renewal', async () => {
  const { out, untilStderr, logLines } = await watching(['--on-renew', 'echo $PURSER_CHANGED >> $LOG'])
  await until(() => expect(logLines()).toHaveLength(1))
  const before = await readFile(join(out, 'ca.crt'), 'utf8')
  await purser.asAdmin('POST', '/api/v1/keys/ca:rotate', { level: 'root' })
  await untilStderr(/the roots changed; wrote ca\.crt\n/)
  const roots = await readFile(join(out, 'ca.crt'), 'utf8')
  expect(roots).toContain(before)
  expect(count(roots, /BEGIN CERTIFICATE/)).toBe(count(before, /BEGIN CERTIFICATE/) + 1)
  await until(() => expect(logLines()[1]).toBe('ca.crt'))
}, 90_000)

test('with PURSER_STATE_DIR a restart needs no proof: it renews by certificate', async () => {
  const { dir, out, token } = await prepare()
  const argv = ['credentials', '--out', out, '--proof-file', token]
  const env = { ...environment(), PURSER_STATE_DIR: join(dir, 'state') }
  expect((await startCli(argv, { env }).result).code).toBe(0)
  const first = serialIn(await readFile(join(out, 'tls.crt'), 'utf8'))
  await rm(token)
  expect((await startCli(argv, { env: environment() }).result).code).toBe(2)
  const { result, signal } = startCli([...argv, '--watch', '--on-renew', 'echo ran >&2'], {
    env,
    onError: (err) => err.includes('ran') && signal('SIGTERM'),
  })
  expect((await result).code).toBe(0)
  expect(serialIn(await readFile(join(out, 'tls.crt'), 'utf8'))).not.toBe(first)
}, 60_000)

test('a forked log causes a warning, and both heads are written to a file', async () => {
  const { dir, out, token } = await prepare()
  const fake = await startFake()
  await writeFile(join(dir, 'ca.pem'), rootPem)
  await writeFile(token, proofFor())
  let err = ''
  const { result, signal } = startCli(['credentials', '--out', out, '--proof-file', token, '--watch'], {
    env: { PURSER_ADDR: fake.url, PURSER_CA_FILE: join(dir, 'ca.pem'), PURSER_LOG_KEY: fake.state.log.vkey },
    onError: (text) => (err = text),
  })
  await until(() => expect(existsSync(join(out, 'receipt.json'))).toBe(true))
  const receipt = await readFile(join(out, 'receipt.json'), 'utf8')
  fake.state.log = fake.state.log.fork(1)
  signal('SIGHUP')
  await until(() => expect(existsSync(join(out, 'log-fork.json'))).toBe(true))
  signal('SIGTERM')
  expect((await result).code).toBe(0)
  expect(err).toMatch(/warning: .*contradicts what it showed before/)
  expect(err).toContain(join(out, 'log-fork.json'))
  const heads = JSON.parse(await readFile(join(out, 'log-fork.json'), 'utf8')) as Record<string, string>
  expect(heads.kept).toMatch(/^example\.org\/log\/1\n/)
  expect(heads.received).not.toBe(heads.kept)
  // The credentials that came with it were discarded.
  expect(await readFile(join(out, 'receipt.json'), 'utf8')).toBe(receipt)
}, 60_000)

test('tokens without a certificate are renewed, and the output names what changed', async () => {
  const command = 'echo "$PURSER_CHANGED|$PURSER_SERIAL_NUMBER|$PURSER_NOT_AFTER" >> $LOG'
  const argv = ['--no-x509', '--audience', 'payments', '--access-token', '--lifetime', '6s', '--on-renew', command]
  const { logLines, out, untilStderr } = await watching(argv)
  const changeSets = new Set<string>()
  await until(() => {
    expect(logLines().length).toBeGreaterThanOrEqual(3)
    expect(changeSets.add(readFileSync(join(out, 'jwt-payments'), 'utf8')).size).toBeGreaterThanOrEqual(2)
  })
  await untilStderr(/renewed by proof; wrote .*jwt-payments.* receipt\.json/)
  expect(logLines()[0]).toBe('jwt-payments access-token receipt.json||')
}, 90_000)

test('SIGHUP renews at once and writes every file; a directory that cannot be written causes a warning', async () => {
  const { out, dir, untilStderr, signal, err } = await watching([])
  await until(() => expect(existsSync(join(out, 'receipt.json'))).toBe(true))
  const serial = serialIn(await readFile(join(out, 'tls.crt'), 'utf8'))
  await rename(out, join(dir, 'aside'))
  await writeFile(out, 'in the way')
  signal('SIGHUP')
  await untilStderr(/SIGHUP: renewing now\n[^]*warning: can't write to .* \(ENOTDIR\); retrying in 10 s/)
  expect(err()).not.toContain('wrote')
  await rm(out)
  await mkdir(out)
  signal('SIGHUP')
  await untilStderr(/wrote ca\.crt tls\.key tls\.crt tls\.pem receipt\.json/)
  expect(serialIn(await readFile(join(out, 'tls.crt'), 'utf8'))).not.toBe(serial)

  await purser.stop()
  onTestFinished(startAgain)
  signal('SIGHUP')
  await untilStderr('warning: the renewal failed')
}, 90_000)

describe('the process itself', () => {
  test('shows no secret in arguments or environment, runs until SIGTERM, and ends with 0', async () => {
    const { out, log, token } = await prepare()
    const command =
      'mkdir $LOG; env > $LOG/env; tr "\\0" " " < /proc/$PPID/cmdline > $LOG/args; ps -eo args >> $LOG/args'
    const argv = ['credentials', '--out', out, '--proof-file', token, '--audience', 'payments', '--access-token']
    const child = spawn(process.execPath, [builtMain(), ...argv, '--watch', '--on-renew', command], {
      env: { ...environment(), LOG: log },
      cwd: new URL('../..', import.meta.url).pathname,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const exit = once(child, 'exit')
    onTestFinished(() => void child.kill('SIGKILL'))
    await until(() => expect(readFileSync(join(log, 'args'), 'utf8')).toContain('credentials --out'))
    const recorded = readFileSync(join(log, 'args'), 'utf8') + readFileSync(join(log, 'env'), 'utf8')
    expect(recorded).toContain(`PURSER_OUT=${out}`)
    expect(recorded).toMatch(/PURSER_SERIAL_NUMBER=[0-9a-f]{32}\n/)
    expect(recorded).toMatch(/PURSER_NOT_AFTER=20\d\d-.*Z\n/)
    for (const name of ['tls.key', 'jwt-payments', 'access-token'])
      for (const line of readFileSync(join(out, name), 'utf8')
        .split('\n')
        .filter((line) => /^[\w+/=.-]{20,}$/.test(line)))
        expect(recorded).not.toContain(line)
    expect(recorded).not.toContain(readFileSync(token, 'utf8'))
    expect(child.exitCode).toBe(null)
    child.kill('SIGTERM')
    expect(await exit).toEqual([0, null])
  }, 60_000)
})
