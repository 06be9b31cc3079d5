/** `purser doctor --as-workload` in broken environments: each fault is named in the first line. */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { httpsServer, makeIdentities } from '../outbound/tls-server.ts'
import { proofFor, rootPem, startFake } from '../sdk/fake-purser.ts'
import { type Diagnosis, type Env, diagnose, folder } from '../support/doctor.ts'
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

async function proofFile(claims: Record<string, unknown> = {}): Promise<string> {
  const path = join(folder(), 'token')
  writeFileSync(path, await issuer.token(claims), { mode: 0o600 })
  return path
}

/** The environment of a workload without a fault, with the changes of `env`. */
async function asWorkload(env: Env = {}, ...argv: string[]): Promise<Diagnosis> {
  const good = {
    PURSER_ADDR: purser.url,
    PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
    PURSER_LOG_KEY: purser.vkeys.join(','),
    PURSER_PROOF_FILE: await proofFile(),
    PURSER_STATE_DIR: folder(),
  }
  return diagnose({ ...good, ...env }, '--as-workload', ...argv)
}

const entries = async (): Promise<number> => {
  const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=credentials.issue')
  return (body.items as unknown[]).length
}

describe('without a fault', () => {
  it('names the workload and the proof', async () => {
    const state = folder()
    const { code, out } = await asWorkload({ PURSER_STATE_DIR: state })
    expect(code).toBe(0)
    expect(out).not.toMatch(/^(?:FAIL|warn|skipped|note)/m)
    expect(out).toMatch(/^ok +attestation +spiffe:\/\/example\.org\/lab\/web, workload web, session until 20/m)
    expect(out).toMatch(/^ok +trust +verified by the roots in \S+ca\.pem \(PURSER_CA_FILE\)$/m)
    expect(out).toMatch(
      /^ok +proof +\S+token \(PURSER_PROOF_FILE\), issued by https:\/\/issuer\.lab\.example, \d+ s old, valid for \d+ min$/m,
    )
    expect(out).toMatch(/^ok +log key +PURSER_LOG_KEY pins example\.org\/log\/1$/m)
    expect(out).toMatch(/^ok +clock +agrees with the server$/m)
    expect(readdirSync(state)).toEqual([])
  })

  it('does not send the proof with --no-attest', async () => {
    const before = await entries()
    expect(await asWorkload({}, '--no-attest')).toMatchObject({
      code: 0,
      first: expect.stringContaining('--no-attest'),
    })
    expect(await entries()).toBe(before)
  })

  it('leaves a join token to its owner', async () => {
    const path = join(folder(), 'token')
    writeFileSync(path, `purser_join_${'a'.repeat(43)}`)
    const before = await entries()
    const { code, first } = await asWorkload({ PURSER_PROOF_FILE: path })
    expect([code, first]).toEqual([0, 'skipped  attestation  not tried: it would use up the join token'])
    expect(await entries()).toBe(before)
  })

  it.each([
    ['PURSER_JOIN_TOKEN', (token: string) => ({ PURSER_JOIN_TOKEN: token }), 'PURSER_JOIN_TOKEN'],
    [
      'a file that PURSER_JOIN_TOKEN_FILE names',
      (_: string, path: string) => ({ PURSER_JOIN_TOKEN_FILE: path }),
      'token',
    ],
  ])('finds a join token in %s, and does not present it', async (_, env, place) => {
    const [token, path] = [`purser_join_${'a'.repeat(43)}`, join(folder(), 'token')]
    writeFileSync(path, `${token}\n`)
    const before = await entries()
    const { code, first, out } = await asWorkload({ PURSER_PROOF_FILE: undefined, ...env(token, path) })
    expect([code, first]).toEqual([0, 'skipped  attestation  not tried: it would use up the join token'])
    expect(out).toMatch(new RegExp(`^ok +proof +a join token in \\S*${place} `, 'm'))
    expect(out).not.toMatch(/^(?:FAIL|warn)|no file/m)
    expect(out).not.toContain(token)
    expect(await entries()).toBe(before)
  })

  it('notes a log key that is not pinned, and a missing state directory', async () => {
    const { code, out } = await asWorkload({ PURSER_LOG_KEY: undefined, PURSER_STATE_DIR: undefined })
    expect(code).toBe(0)
    expect(out).toContain(`export PURSER_LOG_KEY=${purser.vkeys.join(',')}`)
    expect(out).toMatch(/^note +state +PURSER_STATE_DIR is not set/m)
  })
})

describe('the server', () => {
  it.each([
    [undefined, 'FAIL  address  PURSER_ADDR is not set'],
    ['purser.example.org', /^FAIL  address  .*https:\/\/host:port/],
    ['https://nowhere.invalid:8443', /^FAIL  address  nowhere\.invalid does not resolve \(E\w+\)$/],
    ['https://127.0.0.1:1', 'FAIL  address  https://127.0.0.1:1 cannot be reached (ECONNREFUSED)'],
  ])('at %j', async (PURSER_ADDR, words) => {
    const { code, first, out } = await asWorkload({ PURSER_ADDR })
    expect([code, first]).toEqual([1, typeof words === 'string' ? words : expect.stringMatching(words)])
    expect(out).toMatch(/^skipped +attestation +not tried/m)
    // Checks that need no server still ran.
    expect(out).toMatch(/^ok +proof /m)
  })

  it('under another CA', async () => {
    const path = join(folder(), 'ca.pem')
    writeFileSync(path, rootPem)
    const { first, out } = await asWorkload({ PURSER_CA_FILE: path })
    expect(first).toBe(`FAIL  trust  the certificate of ${purser.url} does not verify`)
    expect(out).toMatch(/\n +why .*is under no trusted root.*\n +do +export PURSER_CA_FILE=/)
    expect((await asWorkload({ PURSER_CA_FILE: undefined })).first).toBe(
      `FAIL  trust  the certificate of ${purser.url} does not verify`,
    )
    expect((await asWorkload({ PURSER_CA_FILE: '/nonexistent' })).first).toContain('FAIL  trust  PURSER_CA_FILE')
  })

  it('with another fingerprint', async () => {
    const env = { PURSER_CA_FILE: undefined, PURSER_CA_SHA256: 'ab'.repeat(32) }
    const { first, out } = await asWorkload(env)
    expect(first).toBe(`FAIL  trust  no root of ${purser.url} has the fingerprint in PURSER_CA_SHA256`)
    expect(out).toContain('openssl x509 -in ca.pem -noout -fingerprint -sha256')
  })

  it('that is not Purser, does not use TLS, or has another clock', async () => {
    const identities = makeIdentities()
    const ca = join(folder(), 'ca.pem')
    writeFileSync(ca, identities.ca)
    const other = await httpsServer(identities.good, (_, response) => {
      response.setHeader('date', new Date(Date.now() - 60_000).toUTCString()).end('{}')
    })
    const { first, out } = await asWorkload({ PURSER_ADDR: `https://127.0.0.1:${other.port}`, PURSER_CA_FILE: ca })
    expect(first).toBe(`FAIL  server  https://127.0.0.1:${other.port} is not a Purser server`)
    expect(out).toMatch(/^FAIL +clock +this host is \d+ s ahead of the server$/m)
    expect(other.requests.map(({ url }) => url)).toEqual(['/api/v1/server'])

    const mute = createServer((socket) =>
      socket
        .resume()
        .on('error', () => undefined)
        .end('hello\n'),
    )
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => new Promise<void>((resolve) => void mute.close(() => resolve())))
    const addr = `https://127.0.0.1:${(mute.address() as AddressInfo).port}`
    expect((await asWorkload({ PURSER_ADDR: addr })).first).toBe(
      `FAIL  trust  the certificate of ${addr} does not verify`,
    )
  })

  it('whose log differs from the pinned log, or does not verify', async () => {
    const { first } = await asWorkload({ PURSER_LOG_KEY: 'not a key' })
    expect(first).toBe('FAIL  log key  PURSER_LOG_KEY is not a verifier key (name+id+key)')

    const fake = await startFake({ entry: (entry) => ({ ...entry, outcome: 'refused' }) })
    const other = await asWorkload({ PURSER_LOG_KEY: fake.state.log.vkey })
    expect(other.first).toMatch(
      /^FAIL  log key  PURSER_LOG_KEY belongs to \S+, which does not sign example\.org\/log\/1$/,
    )
    const [ca, token] = [join(folder(), 'ca.pem'), join(folder(), 'token')]
    writeFileSync(ca, rootPem)
    writeFileSync(token, proofFor())
    const env = {
      PURSER_ADDR: fake.url,
      PURSER_CA_FILE: ca,
      PURSER_LOG_KEY: fake.state.log.vkey,
      PURSER_PROOF_FILE: token,
    }
    const result = await asWorkload(env)
    expect(result.first).toBe("FAIL  log  the server's proof of its log does not verify (receipt_mismatch)")
  })
})

describe('the proof', () => {
  it('is missing', async () => {
    const { first } = await asWorkload({ PURSER_PROOF_FILE: '/nonexistent/token' })
    expect(first).toBe('FAIL  proof  cannot read /nonexistent/token (ENOENT; PURSER_PROOF_FILE)')
    const nowhere = await asWorkload({ PURSER_PROOF_FILE: undefined })
    expect([nowhere.code, nowhere.first]).toEqual([1, 'FAIL  proof  not found'])
  })

  it('is set twice, or in a missing file', async () => {
    const token = `purser_join_${'a'.repeat(43)}`
    const path = '/nonexistent/token'
    const withoutProof = { PURSER_PROOF_FILE: undefined, PURSER_JOIN_TOKEN_FILE: path }
    const twice = await asWorkload({ ...withoutProof, PURSER_JOIN_TOKEN: token })
    expect([twice.code, twice.first]).toEqual([
      1,
      'FAIL  proof  PURSER_JOIN_TOKEN and PURSER_JOIN_TOKEN_FILE are both set',
    ])
    const { first } = await asWorkload(withoutProof)
    expect(first).toBe(`FAIL  proof  cannot read ${path} (ENOENT; PURSER_JOIN_TOKEN_FILE)`)
    const broken = await asWorkload({ PURSER_PROOF_FILE: undefined, PURSER_JOIN_TOKEN: 'swordfish' })
    expect(broken.first).toBe('FAIL  proof  PURSER_JOIN_TOKEN holds neither a JWT nor a join token (the environment)')
    expect(broken.out).not.toContain('swordfish')
    // The first source in the SDK's order is checked.
    expect((await asWorkload({ PURSER_JOIN_TOKEN: 'swordfish' })).code).toBe(0)
  })

  it('is no token', async () => {
    const path = join(folder(), 'token')
    writeFileSync(path, 'swordfish')
    const { first, out } = await asWorkload({ PURSER_PROOF_FILE: path })
    expect(first).toBe(`FAIL  proof  ${path} holds neither a JWT nor a join token (PURSER_PROOF_FILE)`)
    expect(out).not.toContain('swordfish')
  })

  it('is for another audience, and is not sent', async () => {
    const before = await entries()
    const { first, out } = await asWorkload({ PURSER_PROOF_FILE: await proofFile({ aud: 'vault' }) })
    expect(first).toBe('FAIL  proof  its audience is vault, not Purser (https://purser.example.org)')
    expect(out).toContain('request a token with audience https://purser.example.org')
    const set = await asWorkload({ PURSER_AUDIENCE: 'vault', PURSER_PROOF_FILE: await proofFile({ aud: 'vault' }) })
    expect(set.first).toBe(
      'FAIL  proof  PURSER_AUDIENCE is vault, but the server accepts proofs for https://purser.example.org',
    )
    expect(await entries()).toBe(before)
  })

  it('is expired, or from the future', async () => {
    const now = Math.floor(Date.now() / 1000)
    const old = await asWorkload({ PURSER_PROOF_FILE: await proofFile({ iat: now - 7200, exp: now - 3600 }) })
    expect(old.first).toMatch(/^FAIL  proof  it expired \d+ min ago \(20\S+Z\)$/)
    const earlyProof = await proofFile({ iat: now + 600, exp: now + 1200 })
    expect((await asWorkload({ PURSER_PROOF_FILE: earlyProof }, '--no-attest')).first).toMatch(
      /^warn  proof  it was issued \d+ min in the future$/,
    )
  })

  it('is refused: with the command for an operator', async () => {
    const { code, first, out } = await asWorkload({ PURSER_PROOF_FILE: await proofFile({ sub: 'nobody' }) })
    expect([code, first]).toEqual([
      1,
      expect.stringMatching(/^FAIL  attestation  the server refused the proof \(attestation_failed, req_\w+\)$/),
    ])
    const [, requestId = ''] = /(req_\w+)/.exec(first) ?? []
    expect(out).toContain(`do   ask an operator to run: purser explain ${requestId}\n`)
  })
})

describe('the state directory', () => {
  it('that others can read, or that is a file', async () => {
    const dir = folder()
    chmodSync(dir, 0o755)
    const { code, first } = await asWorkload({ PURSER_STATE_DIR: dir })
    expect([code, first]).toEqual([1, `FAIL  state  ${dir} has mode 0755: others can access it`])
    const file = join(folder(), 'state')
    writeFileSync(file, '')
    expect((await asWorkload({ PURSER_STATE_DIR: file })).first).toBe(`FAIL  state  ${file} is not a directory`)
  })

  it('with a head of another log is reported, and not changed', async () => {
    const dir = folder()
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'log-example.org.json'), '{"damaged":', { mode: 0o600 })
    const { first } = await asWorkload({ PURSER_STATE_DIR: dir })
    expect(first).toBe('FAIL  attestation  attestation failed (bad_state)')
    expect(readdirSync(dir)).toEqual(['log-example.org.json'])
  })
})
