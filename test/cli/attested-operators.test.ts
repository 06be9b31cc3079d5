/** Commands of operators in a CI job without a stored token: the job attests, and acts by the grant of its entry. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { cli } from '../support/cli.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

let purser: TestPurser
let github: Issuer
let folder: string
let runs = 0

const spiffeId = 'spiffe://example.org/github/shop-config'
const bound = { attestors: ['github'], namePrefix: 'shop-', spiffeIdPrefix: '/github/shop/' }

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  folder = mkdtempSync(join(tmpdir(), 'purser-job-'))
  github = await createIssuer('https://token.actions.githubusercontent.com', 'g1', 'RS256')
  const ask = createAsk(purser)
  const attestor = { name: 'github', kind: 'oidc', preset: 'github-actions', audience, keys: { jwks: { keys: [github.jwk] } } } // prettier-ignore
  expect(fault(await ask('createAttestor', { body: attestor }))).toBe('201 ')
  const entry = {
    name: 'shop-config',
    attestor: 'github',
    match: { 'github:repository-id': '42', 'github:ref': 'refs/heads/main', 'github:ref-protected': 'true' },
    spiffeId,
    grants: { operator: { role: 'operator', bound } },
  }
  expect(fault(await ask('createWorkload', { body: entry }))).toBe('201 ')
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A run of the workflow: GitHub's token is its proof, and PURSER_API_TOKEN is not set. */
async function run(line: string, { ref = 'refs/heads/main', ...env }: Record<string, string> = {}) {
  const runId = String(++runs)
  const claims = { sub: 'repo:acme/shop', repository_id: '42', repository_owner_id: '7', event_name: 'push', ref, ref_protected: 'true', run_id: runId, run_attempt: '1', check_run_id: runId } // prettier-ignore
  const proof = join(folder, `token-${runId}`)
  writeFileSync(proof, await github.token(claims))
  return cli(line.replaceAll('DIR', join(folder, 'purser.yaml')).split(' '), {
    env: {
      HOME: folder,
      PURSER_ADDR: purser.url,
      PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
      PURSER_LOG_KEY: purser.vkeys.join(','),
      PURSER_PROOF_FILE: proof,
      ...env,
    },
  })
}

const declare = (name: string, path: string): void =>
  writeFileSync(
    join(folder, 'purser.yaml'),
    stringify({
      kind: 'workload',
      name,
      spec: {
        attestor: 'github',
        match: { 'github:repository-id': '43', 'github:ref': 'refs/heads/main' },
        spiffeId: `spiffe://example.org${path}`,
      },
    }),
  )

const exists = async (name: string): Promise<boolean> =>
  (await purser.call('GET', `/api/v1/workloads/${name}`, undefined, { token: purser.admin })).status === 200

it('is refused for a run of another branch, which no entry matches', async () => {
  declare('shop-api', '/github/shop/api')
  const { code, err } = await run('apply -f DIR', { ref: 'refs/heads/feature' })
  expect({ code, err }).toMatchObject({ code: 3, err: expect.stringContaining('attestation_failed') })
  expect(await exists('shop-api')).toBe(false)
})

it('is refused beyond the bound of the grant, and for what operators with accounts do', async () => {
  declare('shop-wide', '/github/other')
  const wide = await run('apply -f DIR')
  expect(wide).toMatchObject({ code: 3, err: expect.stringContaining('/spiffeId') })
  expect(await exists('shop-wide')).toBe(false)
  expect(await run('token list')).toMatchObject({ code: 3, err: expect.stringContaining('forbidden') })
})

it('plans and applies files, and leaves its SPIFFE ID in the log', async () => {
  declare('shop-api', '/github/shop/api')
  expect(await run('plan -f DIR')).toMatchObject({ code: 0, out: expect.stringContaining('+ workload shop-api') })
  const applied = await run('apply -f DIR --reason 4f2c1d')
  expect(applied).toMatchObject({ code: 0, err: '' })
  expect(await exists('shop-api')).toBe(true)
  const created = (await readLog(purser)).find(
    ({ resource }) => resource?.name === 'shop-api' && resource.revision === 1,
  )
  expect(created).toMatchObject({ actor: { kind: 'workload', spiffeId, operatorRole: 'operator', note: '4f2c1d' } })
  expect(await run('plan -f DIR')).toMatchObject({ code: 0, out: expect.stringContaining('1 unchanged') })
})

it('uses a stored token where there is one', async () => {
  expect(await run('operator list', { PURSER_API_TOKEN: purser.admin })).toMatchObject({ code: 0 })
})

it('leaves a join token alone, which attesting would use up', async () => {
  const result = await run('workload list', { PURSER_PROOF_FILE: '', PURSER_JOIN_TOKEN: 'purser_join_x' })
  expect(result).toMatchObject({ code: 2, err: expect.stringContaining('no API token') })
})
