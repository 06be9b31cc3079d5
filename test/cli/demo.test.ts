/** The demo: its checks fail when what they check is wrong, and what it leaves to try works. */
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { Client } from 'pg'
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { isJwtOf, spiffeIdOf } from '../../src/cli/demo/orders.ts'
import { createStandIn } from '../../src/cli/stand-in.ts'
import { cli, startCli } from '../support/cli.ts'
import { builtMain } from '../support/main.ts'

// A whole server starts twice here, in seconds on a machine that does nothing else.
vi.setConfig({ testTimeout: 90_000 })

const root = new URL('../../', import.meta.url).pathname

it('purser demo --once ends with 0, and shows each step within 80 columns and 65 lines', () => {
  const args = [builtMain(), 'demo', '--once']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  for (const line of [
    /STAND-IN/,
    /^ {2}ok {3}web +spiffe:\/\/demo\.purser\.local\/stand-in\/web +entry \d+$/m,
    /^ {2}ok {3}orders +spiffe:\/\/demo\.purser\.local\/stand-in\/orders +entry \d+$/m,
    /^ {2}ok {3}web -> orders +200 /m,
    /^ {2}ok {3}batch -> orders +403 /m,
    /^ {2}ok {3}nobody -> orders +no connection/m,
    /^ {2}ok {3}miner gets +attestation_failed, req_[0-9a-f]{32}$/m,
    /^ {2}ok {3}purser explain +no_workload/m,
    /credentials\.issue +no_workload +miner/,
    /^1 .* certificate, JWT and secret in one request$/m,
    /PLAYED BY THIS PROCESS/,
    /^ {2}ok {3}before +orders queries as shop_a, with version 1 of orders\/db$/m,
    /^ {2}ok {3}rotate +version 2, and version 1 retired, in [\d.]+ s$/m,
    /^ {2}ok {3}orders +uses shop_b now, not restarted; \d{3,} queries, 0 errors$/m,
    /^ {2}ok {3}shop_a +worked until orders had switched, and is refused now$/m,
    /^ {2}ok {3}receipts /m,
    /^ {2}ok {3}export +\d+ entries/m,
    /^ {2}ok {3}(\d+) edited +found at \1 /m,
    /^ {2}ok {3}(\d+) removed +found at \1 /m,
    /^ {2}ok {3}(\d+) and its hash +found at \1 /m,
    /^All \d+ checks passed, in [\d.]+ s\.$/m,
  ]) {
    expect(stdout).toMatch(line)
  }
  // The new version was fetched, and said to be in use, before the old one was retired.
  const at = '\\d\\d:\\d\\d:\\d\\d'
  const rows = [...stdout.matchAll(new RegExp(`^ {2}(\\d+) +${at} +(secret\\..*)$`, 'gm'))]
  expect(rows.map(([, , what = '']) => what.split(/ {2,}/))).toEqual([
    ['secret.rotate', 'intended', 'admin', 'version 2'],
    ['secret.rotate', 'completed', 'system', 'version 2'],
    ['secret.read', 'granted', 'orders', 'version 2'],
    ['secret.ack', 'granted', 'orders', 'version 2'],
    ['secret.retire', 'intended', 'system', 'version 1'],
    ['secret.retire', 'completed', 'system', 'version 1'],
  ])
  const indexes = rows.map(([, index]) => Number(index))
  expect(indexes).toEqual(indexes.toSorted((a, b) => a - b))
  expect(stdout).toMatch(new RegExp(`^ {2}orders +ses_\\w+ +2 +entry ${indexes[2]} +verified$`, 'm'))

  const lines = stdout.split('\n')
  expect(lines.filter((line) => line.length > 80)).toEqual([])
  expect(lines.length).toBeLessThanOrEqual(65)
  expect(stdout).not.toContain('\u001b')
  expect(stdout).not.toContain('FAIL')
})

it.each([
  ['none', { status: 0, line: /^ {2}There is no Postgres for it: PURSER_DEMO_DATABASE_URL is none$/m }],
  ['postgres://127.0.0.1', { status: 2, line: /PURSER_DEMO_DATABASE_URL must be postgres:/ }],
  ['postgres://x:Pa5sw0rd@127.0.0.1:1/x', { status: 5, line: /PURSER_DEMO_DATABASE_URL: .*ECONNREFUSED/ }],
])('with the database %s', async (url, { status, line }) => {
  const { code, out, err } = await cli(['demo', '--once'], { env: { PURSER_DEMO_DATABASE_URL: url } })
  expect({ code, text: out + err }).toEqual({ code: status, text: expect.stringMatching(line) })
  expect(out + err).not.toContain('Pa5sw0rd')
  if (status === 0) expect(out).toMatch(/^5, 6 {2}SKIPPED: .*\n {2}There is no Postgres .*\n\n7 {2}The log verifies/m)
})

it("keeps running and prints working commands, on the caller's Postgres, and removes everything", async () => {
  const { url } = inject('postgres')
  let up: (out: string) => void = () => undefined
  const ready = new Promise<string>((resolve) => (up = resolve))
  const { ran, interrupt } = startCli(['demo'], {
    env: { PURSER_DEMO_DATABASE_URL: url },
    onOutput: (out) => out.includes('audit verify') && up(out),
  })
  onTestFinished(async () => {
    interrupt()
    await ran
  })
  const out = await Promise.race([
    ready,
    ran.then((ended) => {
      throw new Error(`the demo ended: ${ended.out}${ended.err}`)
    }),
  ])
  const envFile = /^\. (\S+)/m.exec(out)?.[1] ?? ''
  const values = spawnSync('sh', ['-c', `. ${envFile} && env`], { encoding: 'utf8' }).stdout
  const env = Object.fromEntries([...values.matchAll(/^(PURSER_\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]))
  const commands = [...out.matchAll(/^purser (.+)$/gm)].map(([, line = '']) => line)
  expect(commands).toEqual([
    'secret rotate orders/db',
    'secret consumers orders/db --proof',
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
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(
    `select rolname from pg_roles where rolname ~ '^demo[0-9a-f]{6}' union all select nspname from pg_namespace where nspname ~ '^demo[0-9a-f]{6}'`,
  )
  await client.end()
  expect(rows).toEqual([])
  expect(out).toMatch(/^ {2}ok {3}demo\w{6}_a +worked until orders had switched, and is refused now$/m)
})

describe('the service orders', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = createStandIn('https://issuer.example', privateKey)
  const jwks = issuer.jwks as { keys: { kid: string }[] }
  const now = new Date()
  const expected = { audience: 'orders', spiffeId: 'web', now }

  it('accepts a JWT of the workload that it serves', () => {
    expect(isJwtOf(issuer.token('web', { audience: 'orders', seconds: 60 }), jwks, expected)).toBe(true)
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
  ])('refuses a JWT %s', (_, token) => {
    expect(isJwtOf(token, jwks, expected)).toBe(false)
  })

  it('reads a single URI as the SPIFFE ID, and refuses two', () => {
    expect(spiffeIdOf({ subjectAltName: 'URI:spiffe://a/web, DNS:web' })).toBe('spiffe://a/web')
    expect(spiffeIdOf({ subjectAltName: 'URI:spiffe://a/web, URI:spiffe://a/b' })).toBeUndefined()
    expect(spiffeIdOf(undefined)).toBeUndefined()
  })
})
