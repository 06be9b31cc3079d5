/**
 * The demo: its checks fail on wrong behaviour, and the commands that it prints work. test/package/demo.test.ts runs
 * it as users do.
 */
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { Client } from 'pg'
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest'
import { isJwtOf, spiffeIdOf } from '../../src/cli/demo/orders.ts'
import { createStandIn } from '../../src/cli/stand-in.ts'
import { cli, startCli } from '../support/cli.ts'

// A whole server starts twice here, in seconds on an idle machine.
vi.setConfig({ testTimeout: 90_000 })

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
  const { result, interrupt } = startCli(['demo'], {
    env: { PURSER_DEMO_DATABASE_URL: url },
    onOutput: (out) => out.includes('audit verify') && up(out),
  })
  onTestFinished(async () => {
    interrupt()
    await result
  })
  const out = await Promise.race([
    ready,
    result.then((outcome) => {
      throw new Error(`the demo ended: ${outcome.out}${outcome.err}`)
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
  expect(await result).toMatchObject({ code: 0, err: '' })
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
