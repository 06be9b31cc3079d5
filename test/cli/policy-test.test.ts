/** `purser policy test`: what callers may and may not have, by the explanation of a real server. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { cli } from '../support/cli.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

let purser: TestPurser
let issuer: Issuer
const root = mkdtempSync(join(tmpdir(), 'purser-policy-'))
let folder: string
let count = 0

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  const keys = { jwks: { keys: [issuer.jwk] } }
  await purser.asAdmin('POST', '/api/v1/attestors', {
    name: 'lab',
    kind: 'oidc',
    issuer: issuer.issuer,
    audience,
    keys,
  })
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'web',
    attestor: 'lab',
    match: { 'oidc:sub': 'web' },
    spiffeId: 'spiffe://example.org/lab/web',
    grants: {
      x509: { dnsNames: ['web.lab'] },
      jwt: { audiences: ['payments'] },
      secrets: [
        { paths: ['prod/web/**'], actions: ['read'] },
        { paths: ['prod/*'], actions: ['list'] },
      ],
    },
  })
})
beforeEach(() => {
  folder = join(root, String(count++))
  mkdirSync(folder)
})
afterAll(async () => {
  await purser.stop()
  rmSync(root, { recursive: true, force: true })
})

const web = { attestor: 'lab', selectors: { 'oidc:sub': 'web' } }
const other = { attestor: 'lab', selectors: { 'oidc:sub': 'other' } }
const test = (spec: object, name = 'case') => ({ kind: 'policy-test', name, spec })

async function run(documents: object[], ...argv: string[]) {
  writeFileSync(join(folder, 'tests.yaml'), documents.map((document) => stringify(document)).join('---\n'))
  const env = {
    PURSER_ADDR: purser.url,
    PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
    PURSER_API_TOKEN: purser.admin,
  }
  const { code, out, err } = await cli(['policy', 'test', '-f', folder, ...argv], { env })
  return { code, out: out.replaceAll(`${folder}/`, ''), err: err.replaceAll(`${folder}/`, '') }
}
const faults = async (spec: object): Promise<string[]> => {
  const { code, out, err } = await run([test(spec)], '-o', 'json')
  expect({ err, isCode: code === 0 || code === 1 }).toEqual({
    err: code === 0 ? '' : 'purser: 1 of 1 policy tests failed\n',
    isCode: true,
  })
  return (JSON.parse(out) as { items: { faults: string[] }[] }).items[0]?.faults ?? []
}

it('reports each test with its place, and ends with 1 if one fails', async () => {
  const passing = test(
    { ...web, expect: { may: { read: ['prod/web/key'] }, mayNot: { read: ['prod/billing/key'] } } },
    'web reads its key',
  )
  const failing = test({ ...web, expect: { mayNot: { audiences: ['payments'] } } }, 'web pays nobody')
  expect(await run([passing])).toEqual({ code: 0, err: '', out: 'ok    tests.yaml:1: web reads its key\n' })
  const { code, out, err } = await run([passing, failing])
  expect({ code, err }).toEqual({ code: 1, err: 'purser: 1 of 2 policy tests failed\n' })
  expect(out).toMatch(
    /^ok {4}tests\.yaml:1: web reads its key\nFAIL {2}tests\.yaml:\d+: web pays nobody\n {6}may have a JWT for payments\n$/,
  )
})

describe('the grants of a caller', () => {
  it.each([
    ['everything that holds', { workload: 'web', spiffeId: 'spiffe://example.org/lab/web', outcome: 'granted' }, []],
    [
      'rights that hold',
      { may: { read: ['prod/web/a/b'], list: ['prod/x'], audiences: ['payments'], dnsNames: ['web.lab'] } },
      [],
    ],
    [
      'rights that it must lack',
      {
        mayNot: {
          read: ['prod/x'],
          watch: ['prod/web/a'],
          audiences: ['x'],
          dnsNames: ['x.lab'],
          databases: ['orders'],
        },
      },
      [],
    ],
    ['another entry', { workload: 'api' }, ['the entry is web, expected api']],
    [
      'another SPIFFE ID',
      { spiffeId: 'spiffe://example.org/lab/api' },
      ['the SPIFFE ID is spiffe://example.org/lab/web, expected spiffe://example.org/lab/api'],
    ],
    ['a refusal', { outcome: 'refused' }, ['the outcome is granted, expected refused']],
    [
      'a refusal with its reason',
      { reason: 'no_workload' },
      ['the outcome is granted, expected refused', 'the reason is none, expected no_workload'],
    ],
    [
      'rights that it lacks',
      { may: { read: ['prod/web'], databases: ['orders'], dnsNames: ['x.lab'] } },
      ['may not read prod/web', 'may not have a role in orders', 'may not have a certificate for x.lab'],
    ],
    [
      'rights that it has',
      { mayNot: { list: ['prod/x'], read: ['prod/web/key'] } },
      ['may list prod/x', 'may read prod/web/key'],
    ],
  ])('%s', async (_, expectation, expected) => {
    expect(await faults({ ...web, expect: expectation })).toEqual(expected)
  })
})

describe('a caller that is refused', () => {
  it.each([
    ['meets a refusal', { outcome: 'refused', reason: 'no_workload' }, []],
    ['has none of the rights', { mayNot: { read: ['prod/web/key'] } }, []],
    ['for another reason', { reason: 'disabled' }, ['the reason is no_workload, expected disabled']],
  ])('%s', async (_, expectation, expected) => {
    expect(await faults({ ...other, expect: expectation })).toEqual(expected)
  })

  it.each([
    [{ outcome: 'granted' }],
    [{ may: { read: ['prod/web/key'] } }],
    [{ workload: 'web' }],
    [{ spiffeId: 'spiffe://example.org/lab/web' }],
  ])('fails %o with the explanation', async (expectation) => {
    expect(await faults({ ...other, expect: expectation })).toEqual([
      expect.stringMatching(/^is refused \(no_workload\): .*Nearest is web/),
    ])
  })
})

describe('a proof from a file', () => {
  it('is judged as when it is presented, and is not in the log', async () => {
    const token = await issuer.token({ sub: 'web' })
    writeFileSync(join(folder, 'web.jwt'), `${token}\n`)
    expect(await faults({ tokenFile: 'web.jwt', expect: { workload: 'web' } })).toEqual([])
    expect(JSON.stringify(await readLog(purser))).not.toContain(token)
  })

  it.each(['../outside.jwt', '/etc/passwd', 'link.jwt'])('is read only from the folder: %s', async (tokenFile) => {
    writeFileSync(join(root, 'outside.jwt'), 'hunter2')
    symlinkSync('../outside.jwt', join(folder, 'link.jwt'))
    const { code, err } = await run([test({ tokenFile, expect: { workload: 'web' } })])
    expect(code).toBe(2)
    expect(err).toMatch(/tests\.yaml:1: tokenFile(?: leaves the folder|: can't read)/)
    expect(err).not.toContain('hunter2')
  })
})

it('refuses a folder without a test, and a test without expectation or caller', async () => {
  expect(await run([])).toMatchObject({ code: 2, err: expect.stringContaining('no document of kind policy-test') })
  expect(await run([test({ ...web, expect: {} })])).toMatchObject({
    code: 2,
    err: expect.stringContaining('/spec/expect'),
  })
  expect(await run([test({ expect: { outcome: 'refused' } })])).toMatchObject({ code: 2, out: '' })
  expect(await run([test({ ...web, tokenFile: 'x', expect: { outcome: 'refused' } })])).toMatchObject({ code: 2 })
})

it('plan and apply leave tests alone', async () => {
  await run([test({ ...web, expect: { workload: 'web' } })])
  const { code, out } = await cli(['plan', '-f', folder], {
    env: { PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'), PURSER_API_TOKEN: purser.admin },
  })
  expect({ code, out }).toEqual({ code: 0, out: '0 to create, 0 to change, 0 to delete, 0 unchanged\n' })
})
