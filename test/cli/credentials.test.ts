/** `purser credentials` in one process with a real server, over TLS. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { chmod, chown, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { verifyReceipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { proofFor, rootPem, startFake } from '../sdk/fake-purser.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(() => purser.stop())

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'purser-cli-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

const collect = (): { stream: Writable; text: () => string } => {
  const chunks: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk.toString())
      done()
    },
  })
  return { stream, text: () => chunks.join('') }
}

async function run(argv: string[], env: Record<string, string | undefined> = {}) {
  const [out, err] = [collect(), collect()]
  const code = await runCli({
    argv: ['credentials', ...argv],
    env: {
      PURSER_ADDR: purser.url,
      PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
      PURSER_LOG_KEY: purser.vkeys.join(' '),
      ...env,
    },
    stdin: Readable.from([]),
    stdout: out.stream,
    stderr: err.stream,
    readFile: (path) => readFileSync(path, 'utf8'),
    pid: process.pid,
    signalGroup: () => undefined,
    onSignal: () => undefined,
  })
  return { code, out: out.text(), err: err.text() }
}

const proofFile = async (claims: Record<string, unknown> = {}): Promise<string> => {
  const path = join(await folder(), 'token')
  await writeFile(path, await issuer.token(claims))
  return path
}
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

describe('exit codes', () => {
  test('2 without --out', async () => {
    const { code, err } = await run([])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('--out') })
  })

  test('2 when nothing is requested', async () => {
    expect((await run(['--out', await folder(), '--no-x509'])).code).toBe(2)
  })

  test('2 with a folder that others can write to or that another user owns, before any request', async () => {
    const out = await folder()
    const flags = ['--out', out, '--proof-file', await proofFile()]
    await chmod(out, 0o777)
    expect(await run(flags)).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('other users may write in it'),
    })
    await chmod(out, 0o700)
    await chown(out, 12_345, 12_345)
    expect(await run(flags)).toMatchObject({ code: 2, err: expect.stringContaining('it belongs to user 12345') })
    expect(await readdir(out)).toEqual([])
  })

  test('0 with a folder that a group may write to, after a warning', async () => {
    const out = await folder()
    await chmod(out, 0o2775)
    const { code, err } = await run(['--out', out, '--proof-file', await proofFile()])
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('other users may write in it (mode 2775)') })
    expect(await modeOf(join(out, 'tls.key'))).toBe(0o600)
  })

  test('2 without a proof, and with a proof for another audience', async () => {
    const out = await folder()
    expect(await run(['--out', out, '--proof-file', join(out, 'none')])).toMatchObject({ code: 2, out: '' })
    const foreign = await run(['--out', out, '--proof-file', await proofFile({ aud: 'vault' })])
    expect(foreign).toMatchObject({ code: 2, err: expect.stringContaining('wrong_audience') })
    expect(await readdir(out)).toEqual([])
  })

  test('2 in a CI job without a permission, with the lines to add', async () => {
    const { code, err } = await run(['--out', await folder()], {
      GITHUB_ACTIONS: 'true',
      GITLAB_CI: 'true',
      AWS_EC2_METADATA_DISABLED: 'true',
      METADATA_SERVER_DETECTION: 'none',
    })
    expect(code).toBe(2)
    expect(err).toContain('`permissions: id-token: write`')
    expect(err).toContain('PURSER_ID_TOKEN:\n')
  })

  test('0 with a join token in the environment', async () => {
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'by-hand',
      attestor: 'join',
      spiffeId: 'spiffe://example.org/join/by-hand',
      grants: { x509: { dnsNames: [], maxLifetimeSeconds: 600 } },
    })
    const created = await purser.asAdmin('POST', '/api/v1/join-tokens', { workload: 'by-hand', lifetimeSeconds: 600 })
    const { code, out } = await run(['--out', await folder()], { PURSER_JOIN_TOKEN: String(created.body.token) })
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining('spiffe://example.org/join/by-hand') })
  })

  test('3 when the server refuses, with the command for an operator', async () => {
    const out = await folder()
    const { code, err } = await run(['--out', out, '--proof-file', await proofFile({ sub: 'nobody' })])
    expect({ code, err }).toEqual({ code: 3, err: expect.stringMatching(/attestation_failed.*purser explain req_/s) })
    expect(await readdir(out)).toEqual([])
  })

  test('4 when the receipt does not verify', async () => {
    const out = await folder()
    const fake = await startFake({ entry: (entry) => ({ ...entry, outcome: 'refused' }) })
    const [ca, token] = [join(out, 'ca.pem'), join(out, 'token')]
    await writeFile(ca, rootPem)
    await writeFile(token, proofFor())
    const env = { PURSER_ADDR: fake.url, PURSER_CA_FILE: ca, PURSER_LOG_KEY: fake.state.log.vkey }
    const files = join(out, 'files')
    expect(await run(['--out', files, '--proof-file', token], env)).toMatchObject({
      code: 4,
      err: expect.stringContaining('receipt_mismatch'),
    })
    expect(await readdir(out)).toEqual(['ca.pem', 'token'])
  })

  test('5 when no server answers, and when another server does', async () => {
    const [out, token] = [await folder(), await proofFile()]
    const argv = ['--out', out, '--proof-file', token]
    expect((await run([...argv, '--addr', 'https://127.0.0.1:1'])).code).toBe(5)
    const fake = await startFake()
    expect((await run([...argv, '--addr', fake.url])).code).toBe(5)
    expect(fake.requests).toEqual([])
  })
})

describe('files', () => {
  test('hold the credentials of the workload, readable only by their owner', async () => {
    const out = join(await folder(), 'made')
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'files',
      attestor: 'lab',
      match: { 'oidc:sub': 'files' },
      spiffeId: 'spiffe://example.org/lab/files',
      grants: {
        x509: { dnsNames: ['a.lab', 'b.lab'], maxLifetimeSeconds: 3600 },
        jwt: { audiences: ['payments', 'cloud'], maxLifetimeSeconds: 300 },
      },
      maxSessionSeconds: 7200,
    })
    const token = await proofFile({ sub: 'files' })
    const {
      code,
      out: stdout,
      err,
    } = await run([
      '--out',
      out,
      '--proof-file',
      token,
      '--audience',
      'payments',
      '--audience',
      'cloud,payments',
      '--dns',
      'a.lab',
      '--lifetime',
      '10m',
      '--access-token',
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const names = [
      'access-token',
      'ca.crt',
      'jwt-cloud',
      'jwt-payments',
      'receipt.json',
      'tls.crt',
      'tls.key',
      'tls.pem',
    ]
    expect((await readdir(out)).sort()).toEqual(names)
    for (const name of names) expect(await modeOf(join(out, name))).toBe(0o600)
    expect(await modeOf(out)).toBe(0o700)

    const read = (name: string): Promise<string> => readFile(join(out, name), 'utf8')
    const leaf = new X509Certificate(await read('tls.crt'))
    expect(leaf.checkPrivateKey(createPrivateKey(await read('tls.key')))).toBe(true)
    expect(leaf.subjectAltName).toBe('URI:spiffe://example.org/lab/files, DNS:a.lab')
    expect(new Date(leaf.validTo).getTime() - Date.now()).toBeLessThanOrEqual(600_000)
    const { entry } = verifyReceipt(JSON.parse(await read('receipt.json')), { vkeys: purser.vkeys })
    expect(entry.issued).toMatchObject({ x509: { serialNumber: leaf.serialNumber.toLowerCase() } })
    for (const path of names.map((name) => join(out, name))) expect(stdout).toContain(path)
    for (const name of ['tls.key', 'jwt-payments', 'access-token'])
      expect(stdout).not.toContain((await read(name)).slice(28, 60))
  })

  test('replace existing files, links and wide modes included, and leave no other files', async () => {
    const [out, token] = [await folder(), await proofFile()]
    const victim = join(await folder(), 'victim')
    await writeFile(victim, 'untouched')
    await symlink(victim, join(out, 'tls.key'))
    await writeFile(join(out, 'tls.crt'), 'old')
    await chmod(join(out, 'tls.crt'), 0o666)
    expect((await run(['--out', out, '--proof-file', token])).code).toBe(0)
    expect(await readFile(victim, 'utf8')).toBe('untouched')
    expect(await readFile(join(out, 'tls.key'), 'utf8')).toContain('PRIVATE KEY')
    expect(await modeOf(join(out, 'tls.crt'))).toBe(0o600)
    expect((await readdir(out)).sort()).toEqual(['ca.crt', 'receipt.json', 'tls.crt', 'tls.key', 'tls.pem'])
  })

  test('an audience that is a URL or has dots becomes one file name', async () => {
    const [dir, token] = [await folder(), await proofFile({ sub: 'urls' })]
    const audiences = ['https://cloud.example/x', '../../up']
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'urls',
      attestor: 'lab',
      match: { 'oidc:sub': 'urls' },
      spiffeId: 'spiffe://example.org/lab/urls',
      grants: { jwt: { audiences, maxLifetimeSeconds: 300 } },
      maxSessionSeconds: 7200,
    })
    const { code } = await run([
      '--out',
      join(dir, 'a'),
      '--proof-file',
      token,
      '--no-x509',
      '--audience',
      audiences.join(','),
    ])
    expect(code).toBe(0)
    expect((await readdir(join(dir, 'a'))).sort()).toEqual([
      'jwt-..%2F..%2Fup',
      'jwt-https%3A%2F%2Fcloud.example%2Fx',
      'receipt.json',
    ])
    expect(await readdir(dir)).toEqual(['a'])
  })

  test('a directory that cannot be written is named, and no file stays in it', async () => {
    const [dir, token] = [await folder(), await proofFile()]
    await writeFile(join(dir, 'file'), '')
    const result = await run(['--out', join(dir, 'file'), '--proof-file', token])
    expect(result).toMatchObject({
      code: 1,
      err: expect.stringContaining(`can't write to ${join(dir, 'file')} (ENOTDIR)`),
    })
    const deep = await run(['--out', join(dir, 'no', 'where'), '--proof-file', token])
    expect(deep).toMatchObject({ code: 1, err: expect.stringContaining('ENOENT') })
    expect(await readdir(dir)).toEqual(['file'])
  })
})

test('--output json is for programs: the files, the workload, the expiry, and no secret', async () => {
  const [out, token] = [await folder(), await proofFile()]
  const { code, out: stdout } = await run(['--out', out, '--proof-file', token, '--audience', 'payments', '-o', 'json'])
  expect(code).toBe(0)
  const value = JSON.parse(stdout) as { files: { path: string }[] }
  expect(value).toMatchObject({
    spiffeId: 'spiffe://example.org/lab/web',
    workload: { name: 'web' },
    receipt: { epoch: 1 },
  })
  expect(value.files.map(({ path }) => path)).toEqual(
    ['ca.crt', 'tls.key', 'tls.crt', 'tls.pem', 'jwt-payments', 'receipt.json'].map((name) => join(out, name)),
  )
  for (const secret of ['PRIVATE', 'eyJ']) expect(stdout).not.toContain(secret)
})

test('a log key that is not pinned causes a warning on stderr', async () => {
  const [out, token] = [await folder(), await proofFile()]
  const { code, err } = await run(['--out', out, '--proof-file', token], { PURSER_LOG_KEY: undefined })
  expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('trust on first use') })
})

test('a flag for the roots takes precedence over both variables', async () => {
  const [out, token] = [await folder(), await proofFile()]
  const sha256 = new X509Certificate(purser.roots).fingerprint256
  const argv = ['--out', out, '--proof-file', token, '--ca-sha256', sha256]
  expect((await run(argv, { PURSER_CA_FILE: '/nowhere', PURSER_CA_SHA256: 'x' })).code).toBe(0)
})
