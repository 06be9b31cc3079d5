/** examples/github-actions and examples/gitlab-ci: the files, the operator's commands and the job itself. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readSettings } from '../../sdk/src/credentials/settings.ts'
import { otherNames } from '../../src/config/names.ts'
import { httpServer, httpsServer, makeIdentities } from '../outbound/tls-server.ts'
import { sdkImport } from '../support/built-sdk.ts'
import { cli } from '../support/cli.ts'
import { commandsIn } from '../support/commands.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { root } from '../support/source-files.ts'

type Env = Record<string, string>
type Workflow = {
  on: { push: { branches: string[] } }
  jobs: { deploy: { permissions: Env; env: Env; steps: { run?: string }[] } }
}
type Pipeline = {
  deploy: { rules: { if: string }[]; id_tokens: Record<string, { aud: string }>; variables: Env; script: string[] }
}

const identities = makeIdentities()
const folder = mkdtempSync(join(tmpdir(), 'purser-ci-'))
const place = (path: string): string => join(root, 'examples', path)
const workflow = parse(readFileSync(place('github-actions/deploy.yml'), 'utf8')) as Workflow
const pipeline = parse(readFileSync(place('gitlab-ci/.gitlab-ci.yml'), 'utf8')) as Pipeline
let purser: TestPurser
let github: Issuer
let gitlab: Issuer

const createEnv = (): Env => ({ PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem') })

/** The commands of an operator. The stand-in's keys are inline, where the real ones would be fetched. */
async function register(example: string, issuer: Issuer): Promise<void> {
  const jwks = join(folder, `${example}.json`)
  writeFileSync(jwks, JSON.stringify({ keys: [issuer.jwk] }))
  const commands = commandsIn(place(`${example}/README.md`))
  expect(commands.map(([noun, verb]) => `${noun} ${verb}`)).toEqual(['attestor create', 'workload create'])
  for (const argv of commands) {
    const keys = argv[0] === 'attestor' ? ['--jwks-file', jwks] : []
    const { code, err } = await cli([...argv, ...keys], { env: { ...createEnv(), PURSER_API_TOKEN: purser.admin } })
    expect({ code, err }).toEqual({ code: 0, err: '' })
  }
}

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  github = await createIssuer('https://token.actions.githubusercontent.com', 'g1', 'RS256')
  gitlab = await createIssuer('https://gitlab.com', 'l1', 'RS256')
  // A checkout with its dependencies installed: Node finds the SDK.
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'ca.pem'), identities.ca)
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** The job's last command in its own checkout, with nothing else in its environment. */
async function runJob(example: string, command: string, env: Env): Promise<{ code: number; out: string; err: string }> {
  writeFileSync(join(folder, 'deploy.mjs'), readFileSync(place(`${example}/deploy.mjs`)))
  const child = spawn('sh', ['-c', command], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      // The SDK of the workspace is not built.
      NODE_OPTIONS: `--import ${sdkImport()}`,
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      AWS_EC2_METADATA_DISABLED: 'true',
      METADATA_SERVER_DETECTION: 'none',
      ...env,
    },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

/** The variables of the job, with the placeholders of this deployment filled in. */
function filledIn(env: Env, deployUrl: string): Env {
  const values: Env = {
    PURSER_ADDR: purser.url,
    PURSER_CA_SHA256: '',
    PURSER_LOG_KEY: purser.vkeys.join(','),
    DEPLOY_URL: deployUrl,
  }
  return {
    ...Object.fromEntries(Object.keys(env).map((name) => [name, values[name] ?? expect.fail(`${name} is new`)])),
    PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  }
}

/** The API of the deployment, which receives the job's JWT. */
async function deployApi() {
  const { port, requests } = await httpServer((_, response) => response.end())
  return {
    url: `http://127.0.0.1:${port}/releases`,
    tokens: () =>
      requests.map(({ headers }) => {
        const payload = /^Bearer [\w-]+\.([\w-]+)\./.exec(headers.authorization ?? '')?.[1] ?? ''
        return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
      }),
  }
}

describe.each([
  ['github-actions', workflow.jobs.deploy.env],
  ['gitlab-ci', pipeline.deploy.variables],
])('%s', (_, env) => {
  it('sets variables that the SDK knows', () => {
    const own = Object.keys(env).filter((name) => name.startsWith('PURSER_'))
    expect(own.length).toBeGreaterThan(2)
    expect(own.filter((name) => !Object.hasOwn(otherNames, name))).toEqual([])
  })
})

describe('github-actions', () => {
  const { env, permissions, steps } = workflow.jobs.deploy
  const command = steps.at(-1)?.run ?? ''
  const claims = {
    sub: 'repo:acme/shop:ref:refs/heads/main', repository_id: '42', repository_owner_id: '7', event_name: 'push',
    ref: `refs/heads/${workflow.on.push.branches[0]}`, run_id: '100', run_attempt: '1', check_run_id: '900',
  } // prettier-ignore

  it('requests the permission, and no secret', () => {
    expect(permissions).toEqual({ contents: 'read', 'id-token': 'write' })
    expect(Object.entries(env)).toEqual(Object.keys(env).map((name) => [name, `\${{ vars.${name} }}`]))
  })

  it('reports a missing variable', async () => {
    const unset = Object.fromEntries(Object.keys(env).map((name) => [name, '']))
    const { code, err } = await runJob('github-actions', command, unset)
    expect(code).not.toBe(0)
    expect(err).toContain('set PURSER_ADDR')
  })

  it('deploys once it is registered as its README says; another branch does not', async () => {
    await register('github-actions', github)
    const api = await deployApi()
    const job = async (more: Record<string, unknown>) => {
      const { port } = await httpsServer(identities.good, (request, response) => {
        const aud = new URL(request.url ?? '', 'https://runner').searchParams.get('audience')
        void github.token({ ...claims, ...more, aud }).then((value) => response.end(JSON.stringify({ value })))
      })
      return runJob('github-actions', command, {
        ...filledIn(env, api.url),
        GITHUB_ACTIONS: 'true',
        ACTIONS_ID_TOKEN_REQUEST_URL: `https://127.0.0.1:${port}/`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'bearer',
      })
    }
    const other = await job({ ref: 'refs/heads/topic' })
    expect(other.code).not.toBe(0)
    expect(other.err).toMatch(/purser explain req_/)
    expect(api.tokens()).toEqual([])

    const { code, out, err } = await job({})
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(
      /^spiffe:\/\/example\.org\/github\/shop-deploy, session ses_\w+, log entry 1\/\d+\ndeployed: 200\n$/,
    )
    expect(api.tokens()).toMatchObject([{ sub: 'spiffe://example.org/github/shop-deploy', aud: ['deploy-api'] }])
  })
})

describe('gitlab-ci', () => {
  const { id_tokens: tokens, variables, script, rules } = pipeline.deploy
  const command = script.at(-1) ?? ''
  const claims = {
    sub: 'project_path:acme/shop:ref_type:branch:ref:main', project_id: '42', namespace_id: '7', job_id: '900',
    ref: 'main', ref_type: 'branch', ref_path: 'refs/heads/main', ref_protected: 'true', pipeline_id: '100',
  } // prettier-ignore

  it('has a token under the name that the SDK reads, for Purser, on the branch of the entry', () => {
    expect(tokens).toEqual({ PURSER_ID_TOKEN: { aud: audience } })
    expect(rules).toEqual([{ if: '$CI_COMMIT_BRANCH == "main"' }])
  })

  it('has well-formed values', async () => {
    const { chosen } = await readSettings({ env: { ...variables, PURSER_ID_TOKEN: 'of the job' } })
    expect(chosen.map((choice) => choice.chosen)).toEqual([
      `${variables.PURSER_ADDR} (PURSER_ADDR)`,
      `the root with SHA-256 ${variables.PURSER_CA_SHA256} (PURSER_CA_SHA256)`,
      "the CI job's token in PURSER_ID_TOKEN",
    ])
  })

  it('deploys once it is registered as its README says; an unprotected branch does not', async () => {
    await register('gitlab-ci', gitlab)
    const api = await deployApi()
    const job = async (more: Record<string, unknown>) =>
      runJob('gitlab-ci', command, {
        ...filledIn(variables, api.url),
        GITLAB_CI: 'true',
        PURSER_ID_TOKEN: await gitlab.token({ ...claims, ...more, aud: tokens.PURSER_ID_TOKEN?.aud }),
      })
    const other = await job({ ref_protected: 'false' })
    expect(other.code).not.toBe(0)
    expect(other.err).toMatch(/purser explain req_/)

    const { code, out, err } = await job({})
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(
      /^spiffe:\/\/example\.org\/gitlab\/docs-deploy, session ses_\w+, log entry 1\/\d+\ndeployed: 200\n$/,
    )
    expect(api.tokens()).toMatchObject([{ sub: 'spiffe://example.org/gitlab/docs-deploy', aud: ['deploy-api'] }])
  })
})
