/**
 * `purser secret import`: what it refuses, what it imports, and that a second run changes nothing. KV version 2 is a
 * stand-in over real HTTP.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { type Kv2StandIn, startKv2 } from '../support/kv2-stand-in.ts'
import { openssl } from '../support/openssl.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const canary = 'hunter2-correct-horse'
let purser: TestPurser
const folder = mkdtempSync(join(tmpdir(), 'purser-import-'))
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content, { mode: 0o600 })
  return join(folder, name)
}
beforeAll(async () => {
  purser = await startPurser({ tls: true })
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

const env = (more: Record<string, string> = {}) => ({
  PURSER_ADDR: purser.url,
  PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  PURSER_API_TOKEN: purser.admin,
  ...more,
})
type Report = {
  dryRun: boolean
  left: number
  counts: Record<string, number>
  items: { from: string; path?: string; did: string; version?: number; why?: string }[]
}
const run = (argv: string[], more: Record<string, string> = {}, stdin?: string) =>
  cli(['secret', 'import', '--reason', 'moving', ...argv], { env: env(more), ...(stdin !== undefined && { stdin }) })
async function report(argv: string[], more: Record<string, string> = {}, stdin?: string): Promise<Report> {
  const { code, out, err } = await run([...argv, '-o', 'json'], more, stdin)
  if (out === '') throw new Error(err)
  const result: Report = JSON.parse(out)
  expect({ code, refused: result.counts['refused'], err }).toEqual({
    code: result.counts['refused'] === 0 ? 0 : 1,
    refused: result.counts['refused'],
    err: code === 0 ? '' : expect.stringContaining('were refused'),
  })
  return result
}
const short = ({ items }: Report): string[] => items.map((item) => `${item.did} ${item.path ?? item.from}`)
const value = async (path: string, version?: number): Promise<unknown> =>
  (
    await purser.asAdmin('GET', `/api/v1/secrets/${path}${version ? `?version=${version}` : ''}`, undefined, {
      'purser-reason': 'test',
    })
  ).body['data']

describe('from KV version 2', () => {
  let vault: Kv2StandIn
  beforeEach(async () => {
    vault = await startKv2({ mount: 'kv' })
  })
  afterEach(() => vault.stop())
  const from = (argv: string[], token = vault.token) =>
    report(['--from-vault', vault.url, '--mount', 'kv', ...argv], { VAULT_TOKEN: token })

  it.each<[string, string[], Record<string, string>, string]>([
    [
      'plain HTTP to elsewhere',
      ['--from-vault', 'http://vault.example.org:8200'],
      { VAULT_TOKEN: 'x' },
      'must be https',
    ],
    ['a path', ['--from-vault', 'https://vault.example.org/v1'], { VAULT_TOKEN: 'x' }, 'an address such as'],
    ['no token', ['--from-vault', 'https://127.0.0.1:1'], {}, 'VAULT_TOKEN'],
    ['two sources', ['--from-vault', 'https://127.0.0.1:1', '--from-env', 'x'], {}, 'give one of'],
    ['no source', [], {}, 'give one of'],
  ])('%s is refused before anything is sent', async (_, argv, more, words) => {
    const { code, out, err } = await run(argv, more)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(words)
  })

  it('asks for a reason', async () => {
    const { code, err } = await cli(['secret', 'import', '--from-vault', vault.url], { env: env({ VAULT_TOKEN: 'x' }) })
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('--reason') })
    expect(vault.requests).toEqual([])
  })

  it('a refused token, an unknown mount and an unreachable Vault end it with a message', async () => {
    const wrong = await run(['--from-vault', vault.url, '--mount', 'kv'], { VAULT_TOKEN: 'wrong-token' })
    expect([wrong.code, wrong.err]).toEqual([3, expect.stringContaining('read and list below the mount')])
    expect(wrong.err).not.toContain('wrong-token')
    const { url } = vault
    await vault.stop()
    const result = await run(['--from-vault', url, '--mount', 'kv'], { VAULT_TOKEN: 'x' })
    expect([result.code, result.err]).toEqual([5, expect.stringContaining('ECONNREFUSED')])
    vault = await startKv2({ mount: 'kv' })
  })

  it('verifies Vault before the token is sent, with the roots of --vault-ca-file if set', async () => {
    const [key, cert] = [join(folder, 'vault.key'), join(folder, 'vault.crt')]
    const name = ['-subj', '/CN=vault', '-addext', 'subjectAltName=IP:127.0.0.1']
    openssl([
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      ...name,
      '-keyout',
      key,
      '-out',
      cert,
    ])
    const overTls = await startKv2({
      tls: { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') },
      namespace: 'team',
    })
    overTls.secrets.set('tls/a', [{ data: { a: 1 } }])
    const stranger = await run(['--from-vault', overTls.url], { VAULT_TOKEN: overTls.token })
    expect([stranger.code, stranger.err]).toEqual([5, expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT')])
    // Node warns of it, which the test ignores.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    const switchedOff = await run(['--from-vault', overTls.url], { VAULT_TOKEN: overTls.token }).finally(
      () => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'],
    )
    expect([switchedOff.code, overTls.requests]).toEqual([5, []])
    const token = file('vault-token', `${overTls.token}\n`)
    const imported = await report(['--from-vault', overTls.url, '--token-file', token, '--namespace', 'team'], {
      VAULT_CACERT: cert,
    })
    expect(short(imported)).toEqual(['created tls/a'])
    await overTls.stop()
  })

  it('imports every folder; a dry run reports the same and changes nothing; a second run changes nothing', async () => {
    vault.secrets.set('app/db', [{ data: { password: 'old' } }, { data: { password: canary } }])
    vault.secrets.set('app/db/replica', [{ data: { password: 'replica', port: 5432 } }])
    vault.secrets.set('app', [{ data: { a: [1, { b: null }] } }])
    vault.secrets.set('gone', [{ data: { x: 1 }, deletion_time: '2026-01-02T00:00:00Z' }])
    vault.secrets.set('dead', [{ data: { x: 1 }, destroyed: true }])
    vault.secrets.set('locked', [{ data: { x: 1 } }])
    vault.denied.add('locked')
    const expected = [
      'created app',
      'created app/db',
      'created app/db/replica',
      'refused dead',
      'refused gone',
      'refused locked',
    ]

    const dry = await from(['--dry-run'])
    expect(short(dry).toSorted()).toEqual(expected)
    expect(dry).toMatchObject({ dryRun: true, left: 0, counts: { created: 3, refused: 3 } })
    expect((await purser.asAdmin('GET', '/api/v1/secrets?prefix=app')).body['items']).toEqual([])

    const imported = await from([])
    expect(short(imported).toSorted()).toEqual(expected)
    expect(imported.items.find((item) => item.from === 'gone')?.why).toContain('deleted or destroyed in Vault')
    expect(await value('app/db')).toEqual({ password: canary })
    expect(await value('app/db/replica')).toEqual({ password: 'replica', port: 5432 })
    expect(await value('app')).toEqual({ a: [1, { b: null }] })

    vault.secrets.get('app')?.push({ data: { a: 2 } })
    expect(short(await from(['--prefix', 'app/'])).toSorted()).toEqual(['unchanged app/db', 'unchanged app/db/replica'])
    const secondRun = await from([])
    expect(secondRun.items.find((item) => item.from === 'app')).toEqual({
      from: 'app',
      path: 'app',
      did: 'changed',
      version: 2,
    })
    expect(secondRun.counts).toEqual({ created: 0, changed: 1, unchanged: 2, refused: 3 })
  })

  it('no name changes silently: an invalid path is refused with a proposal', async () => {
    vault.secrets.set('Shop/DB', [{ data: { n: 1 } }])
    vault.secrets.set('Shop/ü name', [{ data: { n: 2 } }])
    vault.secrets.set('sys/x', [{ data: { n: 3 } }])
    const refused = await from([])
    expect(Object.fromEntries(refused.items.map((item) => [item.from, item.why]))).toMatchObject({
      'Shop/DB': expect.stringMatching(/--rename-lower, or --rename 'Shop\/DB=shop\/db'$/),
      'Shop/ü name': expect.stringMatching(/--rename 'Shop\/ü name=shop\/name'$/),
      'sys/x': expect.stringContaining('reserved'),
    })
    expect(refused.counts['created']).toBe(0)
    const renamed = await from(['--to', 'moved', '--rename-lower', '--rename', 'Shop/ü name=moved/shop/other'])
    expect(short(renamed).toSorted()).toEqual([
      'created moved/shop/db',
      'created moved/shop/other',
      'created moved/sys/x',
    ])
    expect(await value('moved/shop/other')).toEqual({ n: 2 })
  })

  it('two names with the same path are both refused', async () => {
    vault.secrets.set('two/a', [{ data: { n: 1 } }])
    vault.secrets.set('two/A', [{ data: { n: 2 } }])
    const imported = await from(['--rename-lower'])
    expect(imported.items.map((item) => item.why)).toEqual([
      expect.stringContaining('would also come from two/a'),
      expect.stringContaining('would also come from two/A'),
    ])
  })

  it('a value that JSON readers disagree on, or that is too large, is refused by name, and the others continue', async () => {
    vault.secrets.set('odd/large', [{ data: { a: canary.repeat(10_000) } }])
    vault.secrets.set('odd/ok', [{ data: { a: 1 } }])
    vault.secrets.set('odd/proto', [{ data: JSON.parse(`{ "__proto__": "${canary}" }`) as Record<string, unknown> }])
    const imported = await from([])
    expect(short(imported)).toEqual(['refused odd/large', 'created odd/ok', 'refused odd/proto'])
    expect(JSON.stringify(imported)).not.toContain('hunter2')
  })

  it('every version: oldest first, without destroyed ones, beyond the default limit, and nothing the second time', async () => {
    const versions = Array.from({ length: 14 }, (_, n) => ({ data: { n } }))
    vault.secrets.set('hist/long', versions)
    vault.secrets.set('hist/gaps', [
      { data: { n: 1 } },
      { data: { n: 2 }, deletion_time: '2026-01-02T00:00:00Z' },
      { data: { n: 3 }, destroyed: true },
      { data: { n: 4 }, deletion_time: '2099-01-01T00:00:00Z' },
    ])
    await from(['--prefix', 'hist', '--all-versions'])
    expect(await Promise.all([1, 14].map((n) => value('hist/long', n)))).toEqual([{ n: 0 }, { n: 13 }])
    expect(await Promise.all([1, 2].map((n) => value('hist/gaps', n)))).toEqual([{ n: 1 }, { n: 4 }])
    expect((await from(['--prefix', 'hist', '--all-versions'])).counts).toMatchObject({ unchanged: 2, changed: 0 })
    vault.secrets.get('hist/long')?.push({ data: { n: 14 } }, { data: { n: 15 } })
    const more = await from(['--prefix', 'hist', '--all-versions'])
    expect(more.items.find((item) => item.from === 'hist/long')).toMatchObject({ did: 'changed', version: 16 })
    await purser.asAdmin('PUT', '/api/v1/secrets/hist/gaps', { data: { n: 'mine' } }, { 'if-match': '"2"' })
    const other = await from(['--prefix', 'hist', '--all-versions'])
    expect(other.items.find((item) => item.from === 'hist/gaps')?.why).toContain('a different history')
    expect(await value('hist/gaps')).toEqual({ n: 'mine' })
  })

  it('waits as Vault requests; after a failure the report shows the progress, and the next run continues', async () => {
    for (const name of ['a', 'b', 'c']) vault.secrets.set(`res/${name}`, [{ data: { name } }])
    vault.next.push({ status: 429, headers: { 'retry-after': '0' } }, { status: 503 })
    expect((await from(['--prefix', 'res', '--dry-run'])).counts['created']).toBe(3)

    const requestCount = vault.requests.length
    const breaking = run(['--from-vault', vault.url, '--mount', 'kv', '--prefix', 'res', '-o', 'json'], {
      VAULT_TOKEN: vault.token,
    })
    while (!vault.requests.slice(requestCount).some((path) => path.endsWith('/res/a')))
      await new Promise((resolve) => setTimeout(resolve, 5))
    vault.next.push({ status: 501 })
    const { code, out } = await breaking
    const interrupted: Report = JSON.parse(out)
    expect(code).toBe(5)
    expect(interrupted.left).toBeGreaterThan(0)
    expect(interrupted.left + (interrupted.counts['created'] ?? 0)).toBe(3)
    const secondRun = await from(['--prefix', 'res'])
    expect(secondRun.counts).toMatchObject({ created: interrupted.left, unchanged: 3 - interrupted.left, refused: 0 })
  })

  it('the log has every value that was written, by whom and why, and none of them', async () => {
    vault.secrets.set('logged/a', [{ data: { password: canary } }])
    await from(['--prefix', 'logged'])
    const entries = await readLog(purser)
    expect(entries.findLast((entry) => entry.action === 'secret.put')).toMatchObject({
      resource: { name: 'logged/a' },
      actor: { operator: 'admin', note: 'moving' },
    })
    expect(JSON.stringify(entries) + purser.logs.join('')).not.toContain('hunter2')
    expect(JSON.stringify(entries) + purser.logs.join('')).not.toContain(vault.token)
  })
})

describe('from a file of environment variables', () => {
  it('becomes one secret', async () => {
    const text = [
      '# comment',
      'export A=one # behind',
      "B='two # \\n $X'",
      `C="${canary}\\n\\"x\\" \\$Y"`,
      'D=',
      'E="over',
      'lines"',
      '',
      'F_1=a=b#c',
    ].join('\n')
    const imported = await report(['--from-env', file('.env', text), '--to', 'web/env'])
    expect(short(imported)).toEqual(['created web/env'])
    expect(await value('web/env')).toEqual({
      A: 'one',
      B: 'two # \\n $X',
      C: `${canary}\n"x" $Y`,
      D: '',
      E: 'over\nlines',
      F_1: 'a=b#c',
    })
    expect(short(await report(['--from-env', '-', '--to', 'web/env'], {}, text))).toEqual(['unchanged web/env'])
  })

  it.each([
    ['a malformed line', `A=1\n${canary}`, 'line 2: expected NAME=value'],
    ['an open quote', `A="${canary}`, 'line 1: the quote is not closed'],
    ['a name twice', `A=1\nB=2\nA=${canary}`, 'line 3: the name is used twice'],
    ['something behind', `A="1" ${canary}`, 'line 1: unexpected text'],
    ['an invalid escape', `A="\\d${canary}"`, 'use single quotes'],
    ['a continued line', 'A=1\\\n2', 'needs double quotes'],
    ['a value that some take for a comment', `A=1\nB=#${canary}`, 'line 2: # is ambiguous'],
    ['a comment that some take for a value', `A= # ${canary}`, 'line 1: # is ambiguous'],
  ])('%s is refused with its line, and not printed', async (_, text, words) => {
    const { code, out, err } = await run(['--from-env', file('bad.env', text), '--to', 'web/bad'])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(words)
    expect(err).not.toContain('hunter2')
  })

  it('asks for the target', async () => {
    expect((await run(['--from-env', file('x.env', 'A=1')])).err).toContain('--from-env needs --to')
  })
})

describe('from JSON and YAML', () => {
  it('imports each path with its value', async () => {
    const json = `{ "j/a": { "password": "${canary}" }, "j/b": "text", "J/C": {} }`
    const imported = await report(['--from-json', file('x.json', json)])
    expect(short(imported)).toEqual(['created j/a', 'refused j/b', 'refused J/C'])
    const yaml = 'y/a:\n  password: "0123"\n  port: 5432\n  on: yes\n  nothing: null\ny/b: { list: [1, "two"] }\n'
    expect(short(await report(['--from-yaml', '-', '--to', 'tree'], {}, yaml))).toEqual([
      'created tree/y/a',
      'created tree/y/b',
    ])
    expect(await value('tree/y/a')).toEqual({ password: '0123', port: 5432, on: 'yes', nothing: null })
  })

  it.each([
    ['a number in another notation than JSON', `a/b: { password: 0123 }`, 'line 1: ambiguous value'],
    ['a number with an exponent', `a/b:\n  password: 1e3`, 'line 2: ambiguous value'],
    ['a truth value in other letters', `a/b: { password: True }`, 'ambiguous value'],
    ['a name twice', `a/b: { x: ${canary} }\na/b: { x: 1 }`, 'DUPLICATE_KEY'],
    ['an alias', `a/b: &x { y: ${canary} }\na/c: *x`, 'line 2: aliases'],
    ['a name that is not a string', `1: { x: ${canary} }`, 'names must be text'],
    ['no YAML', `a: [${canary}`, 'invalid YAML'],
    ['a list', `- ${canary}`, 'is not an object of paths'],
  ])('%s is refused, and not printed', async (_, yaml, words) => {
    const { code, out, err } = await run(['--from-yaml', file('bad.yaml', yaml)])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(words)
    expect(err).not.toContain('hunter2')
  })
})
