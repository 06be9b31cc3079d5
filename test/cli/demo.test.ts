/** The demo: its checks fail when what they check is wrong, and what it leaves to try works. */
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { isJwtOf, spiffeIdOf } from '../../src/cli/demo/orders.ts'
import { createStandIn } from '../../src/cli/stand-in.ts'
import { cli, startCli } from '../support/cli.ts'

// A whole server starts twice here, in seconds on a machine that does nothing else.
vi.setConfig({ testTimeout: 90_000 })

const root = new URL('../../', import.meta.url).pathname

it('purser demo --once ends with 0, and shows each step within 80 columns and 45 lines', () => {
  const args = ['--conditions=purser-source', '--import', 'tsx', 'src/main.ts', 'demo', '--once']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  for (const line of [
    /STAND-IN/,
    /^ {2}ok {3}web +spiffe:\/\/demo\.purser\.local\/stand-in\/web +entry \d+$/m,
    /^ {2}ok {3}orders +spiffe:\/\/demo\.purser\.local\/stand-in\/orders +entry \d+$/m,
    /^ {2}ok {3}web -> orders +200 /m,
    /^ {2}ok {3}batch -> orders +403 /m,
    /^ {2}ok {3}nobody -> orders +no connection/m,
    /^ {2}ok {3}miner is told +attestation_failed, req_[0-9a-f]{32}$/m,
    /^ {2}ok {3}purser explain +no_workload/m,
    /credentials\.issue +no_workload +miner/,
    /^ {2}ok {3}receipts /m,
    /^ {2}ok {3}export +\d+ entries/m,
    /^ {2}ok {3}(\d+) edited +found at \1 /m,
    /^ {2}ok {3}(\d+) removed +found at \1 /m,
    /^ {2}ok {3}(\d+) and its hash +found at \1 /m,
    /^All \d+ checks held, in [\d.]+ s\.$/m,
  ]) {
    expect(stdout).toMatch(line)
  }
  const lines = stdout.split('\n')
  expect(lines.filter((line) => line.length > 80)).toEqual([])
  expect(lines.length).toBeLessThanOrEqual(45)
  expect(stdout).not.toContain('\u001b')
  expect(stdout).not.toContain('FAIL')
})

it('stays up with commands that work, and leaves nothing behind', async () => {
  let up: (out: string) => void = () => undefined
  const ready = new Promise<string>((resolve) => (up = resolve))
  const { ran, interrupt } = startCli(['demo'], { onOutput: (out) => out.includes('audit verify') && up(out) })
  onTestFinished(async () => {
    interrupt()
    await ran
  })
  const out = await ready
  const envFile = /^\. (\S+)/m.exec(out)?.[1] ?? ''
  const values = spawnSync('sh', ['-c', `. ${envFile} && env`], { encoding: 'utf8' }).stdout
  const env = Object.fromEntries([...values.matchAll(/^(PURSER_\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]))
  const commands = [...out.matchAll(/^purser (.+)$/gm)].map(([, line = '']) => line)
  expect(commands).toEqual([
    expect.stringMatching(/^explain req_/),
    'audit search --workload web',
    'audit export | purser audit verify -',
  ])
  for (const line of commands) {
    let stdin = ''
    for (const part of line.split(' | ')) {
      const done = await cli(part.replace(/^purser /, '').split(' '), { env, stdin })
      expect(done).toMatchObject({ code: 0 })
      stdin = done.out
    }
    expect(stdin).not.toBe('')
  }
  interrupt()
  expect(await ran).toMatchObject({ code: 0, err: '' })
  expect(existsSync(dirname(envFile))).toBe(false)
})

describe('the service orders', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = createStandIn('https://issuer.example', privateKey)
  const jwks = issuer.jwks as { keys: { kid: string }[] }
  const now = new Date()
  const wanted = { audience: 'orders', spiffeId: 'web', now }

  it('takes a JWT of whom it serves', () => {
    expect(isJwtOf(issuer.token('web', { audience: 'orders', seconds: 60 }), jwks, wanted)).toBe(true)
  })

  it.each([
    ['of another', issuer.token('batch', { audience: 'orders', seconds: 60 })],
    ['for another', issuer.token('web', { audience: 'payments', seconds: 60 })],
    ['that is over', issuer.token('web', { audience: 'orders', seconds: 60, now: new Date(now.getTime() - 120_000) })],
    [
      'signed by another key',
      createStandIn('https://issuer.example', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey).token(
        'web',
        { audience: 'orders', seconds: 60 },
      ),
    ],
    [
      'whose claims were changed',
      issuer.token('batch', { audience: 'orders', seconds: 60 }).replace(/\.[^.]+\./, '.e30.'),
    ],
  ])('refuses one %s', (_, token) => {
    expect(isJwtOf(token, jwks, wanted)).toBe(false)
  })

  it('takes one URI for an SVID, and none of two', () => {
    expect(spiffeIdOf({ subjectAltName: 'URI:spiffe://a/web, DNS:web' })).toBe('spiffe://a/web')
    expect(spiffeIdOf({ subjectAltName: 'URI:spiffe://a/web, URI:spiffe://a/b' })).toBeUndefined()
    expect(spiffeIdOf(undefined)).toBeUndefined()
  })
})
