/** The order of the sources of a proof, the message about each skipped one, and the message about a failure. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { chooseProof } from '../../sdk/src/proof/choose.ts'
import { failing } from './failing.ts'
import { choose, purserAudience, read } from './machine.ts'

const dir = mkdtempSync(join(tmpdir(), 'purser-proof-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
const file = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text)
  return join(dir, name)
}

/** Every source at once, from the first on; the test removes them one by one. */
const allSources = {
  PURSER_PROOF_FILE: file('named', 'the named file'),
  PURSER_JOIN_TOKEN: 'purser_join_by_hand',
  ACTIONS_ID_TOKEN_REQUEST_URL: 'https://127.0.0.1:1/',
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'bearer',
  PURSER_ID_TOKEN: 'of the job',
  AWS_ACCESS_KEY_ID: 'AKID',
  AWS_SECRET_ACCESS_KEY: 'secret',
  GCE_METADATA_HOST: '127.0.0.1:1',
  SPIFFE_ENDPOINT_SOCKET: 'unix:///run/spire.sock',
}
const tokenFile = file('projected', 'the projected token')

test('the order, by removing one source after the other', () => {
  const env: Record<string, string | undefined> = { ...allSources }
  const choices = [chooseProof('by hand', env, { tokenFile }).chosen, choose(env, { tokenFile }).chosen]
  const remove = (name: keyof typeof allSources | undefined, file?: string): void => {
    if (name !== undefined) env[name] = undefined
    choices.push(choose(env, file === undefined ? {} : { tokenFile: file }).chosen)
  }
  remove('PURSER_PROOF_FILE', tokenFile)
  remove('PURSER_JOIN_TOKEN', tokenFile)
  remove(undefined)
  remove('ACTIONS_ID_TOKEN_REQUEST_URL')
  remove('PURSER_ID_TOKEN')
  remove('AWS_ACCESS_KEY_ID')
  remove('GCE_METADATA_HOST')
  expect(choices).toEqual([
    'the token in the option proof',
    `the file ${allSources.PURSER_PROOF_FILE} (PURSER_PROOF_FILE)`,
    'the join token in PURSER_JOIN_TOKEN',
    `the file ${tokenFile} (where a projected token is mounted)`,
    'a token of this GitHub Actions job (ACTIONS_ID_TOKEN_REQUEST_URL)',
    "the CI job's token in PURSER_ID_TOKEN",
    'a token of this AWS role by sts:GetWebIdentityToken (AWS_ACCESS_KEY_ID)',
    "a token of this machine from Google's metadata server (GCE_METADATA_HOST)",
    'none: no proof was found',
  ])
})

test('the choice makes no network request', () => {
  const get = (): never => expect.fail('something was asked')
  expect(choose({ ...allSources, PURSER_PROOF_FILE: undefined, PURSER_JOIN_TOKEN: undefined }, { get }).chosen).toMatch(
    /GitHub/,
  )
  expect(choose({}, { get, dmi: (name) => (name === 'sys_vendor' ? 'Amazon EC2' : '') }).chosen).toMatch(/AWS/)
  expect(choose({}, { get, dmi: (name) => (name === 'product_name' ? 'Google Compute Engine' : '') }).chosen).toMatch(
    /Google/,
  )
})

describe('when no source is found', () => {
  test('the error names each skipped source in order, with the remedy', async () => {
    const source = choose()
    expect(source.dismissed).toEqual([
      'the option proof is not given',
      'PURSER_PROOF_FILE is not set',
      'neither PURSER_JOIN_TOKEN nor PURSER_JOIN_TOKEN_FILE is set',
      '/nowhere/purser/token does not exist',
      'not a job of GitHub Actions (GITHUB_ACTIONS is not set)',
      'not a job of GitLab CI (neither GITLAB_CI nor PURSER_ID_TOKEN is set)',
      'no evidence of AWS (no credentials in the environment, no container credentials, no EC2)',
      'no evidence of Google Cloud',
      'SPIFFE_ENDPOINT_SOCKET is not set',
    ])
    const error = await failing(read(source))
    expect(error.code).toBe('no_proof')
    expect(error.message).toContain(`audience ${purserAudience} at /nowhere/purser/token`)
    expect(error.message.split('\n').slice(1)).toEqual(source.dismissed.map((reason) => `- ${reason}`))
  })

  test.each<[string, Record<string, string>, string]>([
    [
      'a GitHub job without the permission',
      { GITHUB_ACTIONS: 'true' },
      "this job of GitHub Actions can't ask for a token: add `permissions: id-token: write` to the job (a pull request from a fork never has it)",
    ],
    [
      'half of the variables of a GitHub job',
      { GITHUB_ACTIONS: 'true', ACTIONS_ID_TOKEN_REQUEST_URL: 'https://127.0.0.1:1/' },
      "this job of GitHub Actions can't ask for a token: add `permissions: id-token: write` to the job (a pull request from a fork never has it)",
    ],
    [
      'a Lambda function without credentials',
      { AWS_LAMBDA_FUNCTION_NAME: 'f', AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' },
      'AWS_LAMBDA_FUNCTION_NAME is set, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not',
    ],
    [
      'EC2 with its metadata switched off',
      { AWS_EXECUTION_ENV: 'AWS_ECS_EC2', AWS_EC2_METADATA_DISABLED: 'true' },
      "EC2's metadata service is disabled (AWS_EC2_METADATA_DISABLED)",
    ],
    [
      'a pod on EC2: the node is another workload',
      { AWS_EXECUTION_ENV: 'x', KUBERNETES_SERVICE_HOST: '10.0.0.1' },
      "in a pod, EC2's metadata service identifies the node: mount a projected token",
    ],
    [
      'a pod at Google',
      { K_SERVICE: 'x', KUBERNETES_SERVICE_HOST: '10.0.0.1' },
      "in a pod Google's metadata server may speak for the node: mount a projected token, or set GCE_METADATA_HOST to use it",
    ],
    [
      "Google's metadata switched off",
      { GCE_METADATA_HOST: '127.0.0.1:1', METADATA_SERVER_DETECTION: 'none' },
      "Google's metadata server is disabled (METADATA_SERVER_DETECTION is none)",
    ],
    [
      'the socket of an agent',
      { SPIFFE_ENDPOINT_SOCKET: 'unix:///run/spire.sock' },
      'SPIFFE_ENDPOINT_SOCKET is set, but this version does not speak to the Workload API yet',
    ],
  ])('%s', async (_, env, words) => {
    const source = choose(env)
    expect(source.dismissed).toContain(words)
    expect((await failing(read(source))).message).toContain(`- ${words}`)
  })

  test('a GitLab job without a token gets the lines to add, with the audience', async () => {
    const { message } = await failing(read(choose({ GITLAB_CI: 'true' })))
    expect(message).toContain(
      `no PURSER_ID_TOKEN; add these lines to it:\n    id_tokens:\n      PURSER_ID_TOKEN:\n        aud: ${purserAudience}\n`,
    )
  })

  test('an empty variable counts as missing', () => {
    const empty = Object.fromEntries(Object.keys(allSources).map((name) => [name, '']))
    expect(choose(empty).chosen).toBe('none: no proof was found')
  })

  test('a Chromebook has Google as its vendor and is not a cloud', () => {
    expect(choose({}, { dmi: (name) => (name === 'sys_vendor' ? 'Google' : 'Eve') }).dismissed).toContain(
      'no evidence of Google Cloud',
    )
  })
})

describe('files', () => {
  test('a missing file that was named is not replaced by another source', async () => {
    const missing = join(dir, 'missing')
    const error = await failing(read(choose({ ...allSources, PURSER_PROOF_FILE: missing })))
    expect(error.message).toBe(
      `the file ${missing} (PURSER_PROOF_FILE) does not exist. Passed over:\n- the option proof is not given`,
    )
  })

  test('a projected token that cannot be read is an error', async () => {
    mkdirSync(join(dir, 'folder'), { recursive: true })
    const error = await failing(read(choose({}, { tokenFile: join(dir, 'folder') })))
    expect(error.message).toContain("can't be read (EISDIR)")
  })

  test('are read again at every use', async () => {
    const path = file('again', 'one')
    const source = choose({}, { tokenFile: path })
    expect(await read(source)).toBe('one')
    file('again', 'two')
    expect(await read(source)).toBe('two')
  })
})

describe('a join token', () => {
  test('from two places is a fault', () => {
    expect(() => choose({ PURSER_JOIN_TOKEN: 'a', PURSER_JOIN_TOKEN_FILE: 'b' })).toThrow(
      expect.objectContaining({ code: 'bad_options' }),
    )
  })

  test('from the environment and from a file', async () => {
    expect(await read(choose({ PURSER_JOIN_TOKEN: 'purser_join_a' }))).toBe('purser_join_a')
    const path = file('join', 'purser_join_b\n')
    const source = choose({ PURSER_JOIN_TOKEN_FILE: path })
    expect(source.chosen).toBe(`the file ${path} (PURSER_JOIN_TOKEN_FILE)`)
    expect(await read(source)).toBe('purser_join_b\n')
  })
})
