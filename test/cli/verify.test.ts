/** `purser verify`, `jwt` and `whoami` against a real server. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CommandResult, cli } from '../support/cli.ts'
import { type IssuedCredentials, type Lab, createLab } from '../support/lab.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let lab: Lab
let dir: string
let proof: string

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  lab = await createLab(purser)
  dir = await mkdtemp(join(tmpdir(), 'purser-verify-'))
  proof = join(dir, 'proof')
  await writeFile(proof, await lab.issuer.token())
}, 60_000)
afterAll(async () => {
  await purser.stop()
  await rm(dir, { recursive: true, force: true })
})

const server = (): Record<string, string> => ({
  PURSER_ADDR: purser.url,
  PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  PURSER_LOG_KEY: purser.vkeys.join(' '),
})
const asOperator = (): Record<string, string> => ({ ...server(), PURSER_API_TOKEN: purser.admin })
const asWorkload = (): Record<string, string> => ({ ...server(), PURSER_PROOF_FILE: proof })
const run = (argv: string[], env: Record<string, string> = server(), stdin?: string): Promise<CommandResult> =>
  cli(argv, { env, ...(stdin !== undefined && { stdin }) })

describe('verify', () => {
  const put = async (text: string): Promise<string> => {
    const path = join(dir, 'input')
    await writeFile(path, text)
    return path
  }
  const revoke = (body: object): Promise<unknown> => purser.asAdmin('POST', '/api/v1/revocations', body)

  test('5 for an unreachable server, and for another one', async () => {
    const { jwt } = await lab.get()
    const result = await run(['verify', await put(jwt), '--addr', 'https://127.0.0.1:1'])
    expect(result).toMatchObject({ code: 5, out: '' })
    const other = await run(['verify', await put(jwt), '--ca-sha256', 'ab'.repeat(32)])
    expect(other).toMatchObject({ code: 5, out: '' })
  })

  test('a valid JWT, without a check of its revocation', async () => {
    const { jwt } = await lab.get()
    const { code, out } = await run(['verify', '-'], server(), `${jwt}\n`)
    expect(code).toBe(0)
    expect(out).toMatch(/ok +signature +valid, ES256/)
    expect(out).toMatch(/- +audience +payments/)
    expect(out).toMatch(/- +revocation +not checked: it needs PURSER_API_TOKEN/)
    expect(out).toMatch(/\nverified\n$/)
    expect(out).not.toContain(jwt)
  })

  test.each([
    ['an operator', asOperator],
    ['a workload', asWorkload],
  ])('%s checks its revocation', async (_, env) => {
    const { jwt, jti, session } = await lab.get()
    const path = await put(`Authorization: Bearer ${jwt}\n`)
    const before = await run(['verify', path, '--audience', 'payments'], env())
    expect(before).toMatchObject({ code: 0, err: '' })
    expect(before.out).toMatch(new RegExp(`ok +revocation +Purser reports it as active: session ${session} of web`))
    await revoke({ jti })
    const after = await run(['verify', path, '--audience', 'payments'], env())
    expect(after).toMatchObject({ code: 4, err: expect.stringContaining('verification failed') })
    expect(after.out).toMatch(/FAILED +revocation +Purser reports it as inactive/)
    expect(after.out.match(/FAILED/g)).toHaveLength(1)
  })

  test('an operator with an invalid token: the check of the revocation is skipped with the reason', async () => {
    const { jwt } = await lab.get()
    const { code, out } = await run(['verify', await put(jwt)], { ...server(), PURSER_API_TOKEN: 'purser_api_x' })
    expect(code).toBe(0)
    expect(out).toMatch(/- +revocation +could not be checked: .*401/)
  })

  test('a join token is not spent on a check', async () => {
    const { jwt } = await lab.get()
    const join_ = join(dir, 'join')
    await writeFile(join_, `purser_join_${'a'.repeat(43)}`)
    const { code, out } = await run(['verify', await put(jwt), '--proof-file', join_])
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/- +revocation +not checked, since it would use up the join token/),
    })
  })

  test('a token in the argument is judged, with a warning', async () => {
    const { jwt } = await lab.get()
    const { code, err } = await run(['verify', jwt])
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('other users of this machine can see') })
    expect(err).not.toContain(jwt)
  })

  test('a certificate, before and after it was revoked; a chain for programs', async () => {
    const { chain, serialNumber }: IssuedCredentials = await lab.get()
    const path = await put(chain)
    const before = await run(['verify', path])
    expect(before).toMatchObject({ code: 0, err: '' })
    expect(before.out).toContain(serialNumber)
    expect(before.out).toMatch(/ok +revocation +the CRL of .* does not list/)
    expect(before.out).toMatch(/ok +revocation \(CA\) +the CRL of /)
    await revoke({ serialNumber })
    const after = await run(['verify', path, '-o', 'json'])
    expect(after.code).toBe(4)
    const { verified, checks } = JSON.parse(after.out) as { verified: boolean; checks: Record<string, string>[] }
    expect(verified).toBe(false)
    expect(checks.filter(({ state }) => state === 'failed')).toEqual([
      {
        check: 'revocation',
        state: 'failed',
        detail: expect.stringMatching(`lists serial ${serialNumber.replace(/^0+/, '')}`),
      },
    ])
  })

  test('the leaf alone: the missing issuer is named, and no CRL is fetched', async () => {
    const { leaf } = await lab.get()
    const { code, out } = await run(['verify', await put(leaf)])
    expect(code).toBe(4)
    expect(out).toMatch(/FAILED +chain +.*the chain is incomplete/)
    expect(out).toMatch(/- +revocation +not checked: another check failed/)
  })

  test('the files of `purser credentials`, offline too', async () => {
    const out = join(dir, 'files')
    expect((await run(['credentials', '--out', out, '--audience', 'payments'], asWorkload())).code).toBe(0)
    for (const name of ['tls.pem', 'tls.crt', 'jwt-payments']) {
      expect(await run(['verify', join(out, name)])).toMatchObject({ code: 0 })
    }
    const offline = ['verify', join(out, 'tls.pem'), '--bundle', join(out, 'ca.crt')]
    expect(await run(offline, {})).toMatchObject({ code: 0, out: expect.stringMatching(/ok +private key/) })
    const bundle = join(dir, 'bundle.json')
    await writeFile(bundle, (await purser.call('GET', '/bundle')).text)
    expect(await run(['verify', join(out, 'jwt-payments'), '--bundle', bundle], {})).toMatchObject({ code: 0 })
  })
})

describe('jwt', () => {
  test.each([
    ['2 without a proof', ['payments', '--proof-file', '/nonexistent'], 2, 'no_proof'],
    ['2 without an audience', [''], 2, 'the audience is empty'],
    ['2 for a header in JSON', ['payments', '--header', '-o', 'json'], 2, 'give one'],
    ['3 for an audience that is not granted', ['elsewhere'], 3, 'not_granted'],
    ['5 without a server', ['payments', '--addr', 'https://127.0.0.1:1'], 5, 'unreachable'],
  ])('ends with %s', async (_, argv, code, words) => {
    const result = await run(['jwt', ...argv], asWorkload())
    expect(result).toEqual({ code, out: '', err: expect.stringContaining(words) })
  })

  test('prints only a token, with the requested lifetime', async () => {
    const { code, out, err } = await run(['jwt', 'payments', '--lifetime', '30s'], asWorkload())
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/)
    const claims = JSON.parse(Buffer.from(out.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
    expect(claims).toMatchObject({ sub: 'spiffe://example.org/lab/web', aud: ['payments'] })
    expect(Number(claims.exp) - Number(claims.iat)).toBe(30)
  })

  test('as a header for curl, and as JSON for programs', async () => {
    const { out } = await run(['jwt', 'payments', '--header'], asWorkload())
    expect(out).toMatch(/^Authorization: Bearer eyJ[\w.-]+\n$/)
    const value = JSON.parse((await run(['jwt', 'payments', '-o', 'json'], asWorkload())).out) as Record<string, string>
    expect(Object.keys(value)).toEqual(['token', 'jti', 'expiresAt'])
    expect(Date.parse(value.expiresAt ?? '')).toBeGreaterThan(Date.now())
    const { body } = await purser.call('POST', '/api/v1/introspect', { token: value.token }, { token: purser.admin })
    expect(body).toMatchObject({ active: true, jti: value.jti })
  })
})

describe('whoami', () => {
  test('without any proof: names the places that were searched', async () => {
    const { code, out, err } = await run(['whoami'])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('PURSER_PROOF_FILE is not set')
  })

  test('3 for an unknown caller', async () => {
    const stranger = join(dir, 'stranger')
    await writeFile(stranger, await lab.issuer.token({ sub: 'nobody' }))
    const { code, err } = await run(['whoami', '--proof-file', stranger])
    expect({ code, err }).toEqual({ code: 3, err: expect.stringContaining('purser explain req_') })
    const badToken = await run(['whoami'], { ...server(), PURSER_API_TOKEN: 'purser_api_x' })
    expect(badToken).toMatchObject({ code: 3, out: '' })
  })

  test('a workload: SPIFFE ID, entry, session, facts, and the kind of proof', async () => {
    const { code, out, err } = await run(['whoami'], asWorkload())
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^workload +spiffe:\/\/example\.org\/lab\/web$/m)
    expect(out).toMatch(/^entry +web \(wl_\w+\), revision 1$/m)
    expect(out).toMatch(/^attestor +lab$/m)
    expect(out).toMatch(/^session +ses_\w+ until 20/m)
    expect(out).toMatch(/^facts +.*oidc:sub=web/m)
    expect(out).toMatch(new RegExp(`^known by +the file ${proof} \\(PURSER_PROOF_FILE\\)$`, 'm'))
    expect(out).toMatch(/^because +PURSER_API_TOKEN is not set$/m)
    expect(out).not.toContain('purser_at_')
    expect(out).not.toContain(await readFile(proof, 'utf8'))
  })

  test('an operator, when the token is set; an option chooses between both', async () => {
    const both = { ...asWorkload(), PURSER_API_TOKEN: purser.admin }
    const operator = await run(['whoami'], both)
    expect(operator.code).toBe(0)
    expect(operator.out).toMatch(/^operator +admin$/m)
    expect(operator.out).toMatch(/^role +admin$/m)
    expect(operator.out).toMatch(/^because +PURSER_API_TOKEN is set; --as-workload/m)
    expect(operator.out).not.toContain(purser.admin)
    const workload = await run(['whoami', '--as-workload', '-o', 'json'], both)
    expect(JSON.parse(workload.out)).toMatchObject({
      kind: 'workload',
      spiffeId: 'spiffe://example.org/lab/web',
      selectors: { 'oidc:sub': 'web' },
      why: '--as-workload was given',
    })
    expect(workload.out).not.toContain('purser_at_')
  })

  test('a token in a file is named so', async () => {
    const file = join(dir, 'api-token')
    await writeFile(file, purser.admin)
    const { out } = await run(['whoami'], { ...server(), PURSER_API_TOKEN_FILE: file })
    expect(out).toMatch(/^known by +the token in PURSER_API_TOKEN_FILE$/m)
  })
})

describe('with a join token, which is bound at its use to a key', () => {
  const name = 'by-hand'
  beforeAll(async () => {
    const grants = { x509: { dnsNames: ['hand.test'], maxLifetimeSeconds: 600 }, jwt: { audiences: ['payments'] } }
    const entry = { name, attestor: 'join', spiffeId: 'spiffe://example.org/join/by-hand', grants }
    expect((await purser.asAdmin('POST', '/api/v1/workloads', entry)).status).toBe(201)
  })
  const joinToken = async (): Promise<string> => {
    const { body } = await purser.asAdmin('POST', '/api/v1/join-tokens', { workload: name, lifetimeSeconds: 600 })
    return String(body.token)
  }
  const issued = async (): Promise<unknown> =>
    (await purser.asAdmin('GET', '/api/v1/audit/entries?action=credentials.issue')).body.items

  test.each([
    ['in the environment', async () => ({ PURSER_JOIN_TOKEN: await joinToken() })],
    [
      'in a file',
      async () => {
        const file = join(dir, 'join-token')
        await writeFile(file, await joinToken())
        return { PURSER_JOIN_TOKEN_FILE: file }
      },
    ],
    [
      'as PURSER_PROOF_FILE',
      async () => {
        const file = join(dir, 'proof-join-token')
        await writeFile(file, await joinToken())
        return { PURSER_PROOF_FILE: file }
      },
    ],
  ])('jwt prints a token with a join token in %s, and does not change the state directory', async (_, env) => {
    const state = await mkdtemp(join(dir, 'state-'))
    const { code, out, err } = await run(['jwt', 'payments'], {
      ...server(),
      ...(await env()),
      PURSER_STATE_DIR: state,
    })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const claims = JSON.parse(Buffer.from(out.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
    expect(claims).toMatchObject({ sub: 'spiffe://example.org/join/by-hand', aud: ['payments'] })
    expect(await readdir(state)).toEqual([])
  })

  test('whoami and credentials --no-x509 refuse before anything is sent, with the remedy', async () => {
    const token = await joinToken()
    const env = { ...server(), PURSER_JOIN_TOKEN: token }
    const before = await issued()
    const whoami = await run(['whoami'], env)
    expect(whoami).toMatchObject({ code: 2, out: '', err: expect.stringContaining('the join token was not sent') })
    const files = ['credentials', '--out', join(dir, 'none'), '--no-x509', '--audience', 'payments']
    const attestation = await run(files, env)
    expect(attestation).toMatchObject({ code: 2, out: '', err: expect.stringContaining('remove --no-x509') })
    expect(whoami.err + attestation.err).not.toContain(token)
    expect(await issued()).toEqual(before)
    // The token is still unused.
    expect((await run(['jwt', 'payments'], env)).code).toBe(0)
  })

  test('whoami of an operator uses the API token, even if there is a proof', async () => {
    const { code, out } = await run(['whoami'], { ...asOperator(), PURSER_JOIN_TOKEN: `purser_join_${'a'.repeat(43)}` })
    expect(code).toBe(0)
    expect(out).toMatch(/^operator +admin$/m)
  })

  test('verify does not spend it either, wherever it is', async () => {
    const { jwt } = await lab.get()
    const env = { ...server(), PURSER_JOIN_TOKEN: await joinToken() }
    const before = await issued()
    const { code, out } = await run(['verify', '-'], env, jwt)
    expect(code).toBe(0)
    expect(out).toMatch(/- +revocation +not checked, since it would use up the join token/)
    expect(await issued()).toEqual(before)
  })
})
