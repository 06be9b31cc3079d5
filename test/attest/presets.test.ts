/** What presets read and refuse, and the conditions that they require of workload entries. */
import { describe, expect, it } from 'vitest'
import { createAttestor } from '../../src/attest/kinds.ts'
import { checkDefinition } from '../../src/attest/kinds.ts'
import { requiredMatch, widthFault } from '../../src/attest/presets.ts'
import { type Match, matches } from '../../src/names/selectors.ts'
import { attestText, audience, codeOf, craft, jwkOf, noNetwork, now, partsFor, plain, rs256, rsa } from './tokens.ts'

const configuration = { attestors: new Map(), issuer: 'https://purser.example.org' }
const definitionParts = { audiences: [audience], readFile: async () => '' }

async function attestorOf(
  preset: 'github-actions' | 'gitlab-ci' | 'google' | 'aws',
  more: Record<string, unknown> = {},
) {
  const keys = { jwks: { keys: [jwkOf(rsa.publicKey, { kid: 'r1', alg: 'RS256' })] } }
  const checked = await checkDefinition(
    { name: 'ci', kind: 'oidc', preset, audience, keys, ...more },
    configuration,
    definitionParts,
  )
  const row = { ...checked, id: 'att_1', revision: 1 }
  const attestor = createAttestor(row, partsFor(noNetwork).parts)
  const attest = (claims: Record<string, unknown>) =>
    attestText(attestor, craft({ alg: 'RS256', kid: 'r1' }, plain({ iss: checked.issuer, ...claims }), rs256()), now)
  return { row, attest, code: (claims: Record<string, unknown>) => codeOf(() => attest(claims)) }
}

const awsIssuer = 'https://8f2c1d9e-77aa-4f0e-9a51-0a7e2c4b6d11.tokens.sts.global.api.aws'

const github = {
  sub: 'repo:acme/shop:ref:refs/heads/main', repository: 'acme/shop', repository_id: '42', repository_owner: 'acme',
  repository_owner_id: '7', ref: 'refs/heads/main', ref_type: 'branch', ref_protected: 'true', event_name: 'push',
  run_id: '100', run_attempt: '1', check_run_id: '900', job_workflow_ref: 'acme/shop/.github/workflows/ci.yml@refs/heads/main',
  runner_environment: 'github-hosted', sha: 'c0ffee', actor: 'ann', actor_id: '1',
} // prettier-ignore

describe('github-actions', () => {
  const entry: Match = { 'github:repository-id': '42', 'github:ref': 'refs/heads/main' }

  it('yields each short fact once, and accepts each token once', async () => {
    const { attest } = await attestorOf('github-actions')
    const { selectors, singleUse: once, instance } = await attest(github)
    expect(selectors['github:repository-id']).toBe('42')
    expect(selectors['github:job-workflow-ref']).toBe(github.job_workflow_ref)
    expect(selectors['oidc:sub']).toBe(github.sub)
    expect(once?.id).toBe('one')
    expect(instance).toEqual(['github-run', '42', '100', '1', '900'])
  })

  it('jobs of one run are separate instances, as is another attempt', async () => {
    const { attest } = await attestorOf('github-actions')
    const instances = await Promise.all(
      [github, { ...github, check_run_id: '901' }, { ...github, run_attempt: '2' }, { ...github, run_id: '101' }].map(
        async (claims) => JSON.stringify((await attest(claims)).instance),
      ),
    )
    expect(new Set(instances).size).toBe(4)
    const { check_run_id: _, ...older } = github
    expect((await attest(older)).instance.at(-1)).toBe(`sub ${github.sub}`)
  })

  const strangers: [string, Record<string, unknown>, 'proof_rejected' | 'no match'][] = [
    ['a fork', { repository_id: '43', repository: 'eve/shop', repository_owner: 'eve', repository_owner_id: '9' }, 'no match'],
    ['a repository of the old name, created again', { repository_id: '44' }, 'no match'],
    ['a subject that imitates ours', { repository_id: '45', sub: github.sub }, 'no match'],
    ['the immutable form of the subject, of another', { repository_id: '46', sub: 'repo:acme@7/shop@46:ref:refs/heads/main' }, 'no match'],
    ['a pull request', { event_name: 'pull_request', ref: 'refs/pull/5/merge', sub: 'repo:acme/shop:pull_request' }, 'no match'],
    ['a pull request with the trust of its base', { event_name: 'pull_request_target' }, 'proof_rejected'],
    ['an environment with a colon, where the ref belongs', { ref: 'refs/heads/x', environment: 'prod:ref:refs/heads/main', sub: 'repo:acme/shop:environment:prod%3Aref%3Arefs%2Fheads%2Fmain' }, 'no match'],
    ['a tag named main', { ref: 'refs/tags/main', ref_type: 'tag' }, 'no match'],
  ] // prettier-ignore
  it.each(strangers)('refuses a foreign job: %s', async (_, claims, expectedCode) => {
    const { attest, code } = await attestorOf('github-actions')
    if (expectedCode === 'proof_rejected') return expect(await code({ ...github, ...claims })).toBe(expectedCode)
    const { selectors } = await attest({ ...github, ...claims })
    expect(matches(entry, selectors, false)).toBe(false)
  })
  it('accepts our job', async () => {
    const { attest } = await attestorOf('github-actions')
    for (const claims of [github, { ...github, repository: 'acme/renamed', sub: 'repo:acme@7/renamed@42:ref:refs/heads/main' }]) {
      expect(matches(entry, (await attest(claims)).selectors, false)).toBe(true)
    }
  }) // prettier-ignore

  it.each(['repository_id', 'repository_owner_id', 'run_id', 'run_attempt'])(
    'refuses a token without %s',
    async (name) => {
      const { code } = await attestorOf('github-actions')
      expect(await code({ ...github, [name]: undefined })).toBe('proof_claims')
      expect(await code({ ...github, [name]: '' })).toBe('proof_claims')
      expect(await code({ ...github, [name]: ['42'] })).toBe('proof_claims')
    },
  )

  it('refuses other algorithms, whatever the keys', async () => {
    await expect(attestorOf('github-actions', { algorithms: ['ES256'] })).rejects.toMatchObject({
      code: 'impossible',
      info: { errors: [{ pointer: '/algorithms' }] },
    })
  })
})

const gitlab = {
  sub: 'project_path:acme/shop:ref_type:branch:ref:main', project_id: '42', project_path: 'acme/shop', namespace_id: '7',
  namespace_path: 'acme', ref: 'main', ref_type: 'branch', ref_path: 'refs/heads/main', ref_protected: 'true',
  job_id: '555', pipeline_id: '88', pipeline_source: 'push', runner_id: 3, user_access_level: 'maintainer',
} // prettier-ignore

describe('gitlab-ci', () => {
  const entry: Match = { 'gitlab:project-id': '42', 'gitlab:ref': 'refs/heads/main', 'gitlab:ref-protected': 'true' }

  it('yields short facts, numbers and booleans as text, and accepts a token as often as the job needs it', async () => {
    const { attest } = await attestorOf('gitlab-ci')
    const { selectors, singleUse: once, instance } = await attest({ ...gitlab, ref_protected: true })
    expect(selectors['gitlab:runner-id']).toBe('3')
    expect(selectors['gitlab:ref-protected']).toBe('true')
    expect(once).toBeUndefined()
    expect(instance).toEqual(['gitlab-job', '42', '555'])
  })

  const strangers: [string, Record<string, unknown>][] = [
    ['29: the path, of another project', { project_id: '43' }],
    ['29: an unprotected ref', { ref_protected: 'false' }],
    ['29: an unprotected ref by a boolean', { ref_protected: false }],
    ['29: a tag of the branch’s name', { ref_type: 'tag', ref_path: 'refs/tags/main' }],
    ['29: the same of an older GitLab', { ref_type: 'tag', ref_path: undefined }],
    ['a ref that only claims the branch', { ref_type: undefined, ref_path: undefined, ref: 'refs/heads/main' }],
    ['a fork’s merge request', { project_id: '99', project_path: 'eve/shop', job_project_id: '42', job_project_path: 'acme/shop' }],
    ['a ref type of prototypes', { ref_type: 'constructor', ref_path: undefined }],
  ] // prettier-ignore
  it.each(strangers)('refuses a foreign job: %s', async (_, claims) => {
    const { attest } = await attestorOf('gitlab-ci')
    expect(matches(entry, (await attest({ ...gitlab, ...claims })).selectors, false)).toBe(false)
  })
  it('accepts our job, also of a GitLab without ref_path', async () => {
    const { attest } = await attestorOf('gitlab-ci')
    for (const claims of [gitlab, { ...gitlab, ref_path: undefined }]) {
      expect(matches(entry, (await attest(claims)).selectors, false)).toBe(true)
    }
  })
})

const googleVm = {
  sub: '1122', azp: '1122', email: '123-compute@developer.gserviceaccount.com', email_verified: true, jti: undefined,
  google: { compute_engine: { project_id: 'shop', project_number: 739419398126, zone: 'europe-west1-b', instance_id: '152986662232938449', instance_name: 'web-1' } },
} // prettier-ignore

describe('google', () => {
  it('accepts a machine with its immutable numbers', async () => {
    const { attest } = await attestorOf('google')
    const { selectors, instance } = await attest(googleVm)
    expect(selectors['gcp:project-number']).toBe('739419398126')
    expect(selectors['gcp:sub']).toBe('1122')
    expect(instance).toEqual(['gcp-instance', '739419398126', '152986662232938449'])
  })
  it('accepts a service account without a machine', async () => {
    const { attest } = await attestorOf('google')
    const { selectors, instance } = await attest({
      ...googleVm,
      google: undefined,
      email: 'web@shop.iam.gserviceaccount.com',
    })
    expect(selectors['gcp:email']).toBe('web@shop.iam.gserviceaccount.com')
    expect(instance[0]).toBe('gcp-token')
  })

  const people: [string, Record<string, unknown>][] = [
    ['a person', { email: 'ann@gmail.com' }],
    ['a person of a domain that ends alike', { email: 'ann@evilgserviceaccount.com' }],
    ['two at signs', { email: 'web@shop.iam.gserviceaccount.com@evil.com' }],
    ['at signs the other way round', { email: 'evil@x@shop.iam.gserviceaccount.com' }],
    ['an unverified address', { email_verified: false }],
    ['an address verified by a string', { email_verified: 'true' }],
    ['an address verified by "false"', { email_verified: 'false' }],
    ['no address', { email: undefined }],
    ['an address that is a list', { email: ['web@shop.iam.gserviceaccount.com'] }],
    ['a machine that is a list', { google: { compute_engine: [googleVm.google.compute_engine] }, email: 'ann@gmail.com' }],
    ['a machine without an id', { google: { compute_engine: { project_id: 'shop' } }, email: 'ann@gmail.com' }],
    ['a machine in another claim', { compute_engine: googleVm.google.compute_engine, email: 'ann@gmail.com' }],
  ] // prettier-ignore
  it.each(people)('refuses %s', async (_, claims) => {
    const { code } = await attestorOf('google')
    expect(await code({ ...googleVm, google: undefined, ...claims })).toBe('proof_rejected')
  })

  it('distinguishes the same service account of another project', async () => {
    const { attest } = await attestorOf('google')
    const other = { ...googleVm, google: { compute_engine: { ...googleVm.google.compute_engine, project_number: 1, instance_id: '2' } } }
    const { selectors } = await attest(other)
    expect(matches({ 'gcp:project-number': '739419398126' }, selectors, false)).toBe(false)
  }) // prettier-ignore

  it('its issuer and the source of its keys are fixed', async () => {
    await expect(attestorOf('google', { issuer: 'https://accounts.google.com.evil.example' })).rejects.toMatchObject({ code: 'impossible' })
    const { definition } = await checkDefinition({ name: 'g', kind: 'oidc', preset: 'google', audience }, configuration, definitionParts)
    expect(definition).toMatchObject({ issuer: 'https://accounts.google.com', keys: { jwksUrl: 'https://www.googleapis.com/oauth2/v3/certs' } })
  }) // prettier-ignore
})

const aws = {
  sub: 'arn:aws:iam::123456789012:role/web',
  'https://sts.amazonaws.com/': {
    aws_account: '123456789012', source_region: 'eu-west-1', org_id: 'o-abc', principal_tags: { team: 'shop', 'odd key': 'x' },
    request_tags: { team: 'admin' }, ec2_source_instance_arn: 'arn:aws:ec2:eu-west-1:123456789012:instance/i-1',
  },
} // prettier-ignore
const inAws = (more: Record<string, unknown>) => ({
  ...aws,
  'https://sts.amazonaws.com/': { ...aws['https://sts.amazonaws.com/'], ...more },
})

describe('aws', () => {
  it('yields account and principal; what the caller states about itself is no fact', async () => {
    const { attest } = await attestorOf('aws', { issuer: awsIssuer })
    const { selectors, instance } = await attest(aws)
    expect({ ...selectors }).toEqual({
      'oidc:sub': aws.sub, 'aws:account': '123456789012', 'aws:principal': aws.sub, 'aws:source-region': 'eu-west-1',
      'aws:org-id': 'o-abc', 'aws:principal-tag:team': 'shop', 'aws:ec2-source-instance-arn': 'arn:aws:ec2:eu-west-1:123456789012:instance/i-1',
    }) // prettier-ignore
    expect(instance).toEqual(['aws-instance', aws.sub, 'arn:aws:ec2:eu-west-1:123456789012:instance/i-1'])
  })

  const refused: [string, Record<string, unknown>][] = [
    ['31: the role’s name in another account', { sub: 'arn:aws:iam::999999999999:role/web' }],
    ['no account', inAws({ aws_account: undefined })],
    ['another account inside', inAws({ aws_account: '999999999999' })],
    ['no claims of AWS', { 'https://sts.amazonaws.com/': undefined }],
    ['claims that are a list', { 'https://sts.amazonaws.com/': [] }],
    ['tags that are a list', inAws({ principal_tags: ['team'] })],
    ['a subject that is not an ARN', { sub: 'web' }],
  ]
  it.each(refused)('refuses %s', async (_, claims) => {
    const { code } = await attestorOf('aws', { issuer: awsIssuer })
    expect(await code({ ...aws, ...claims })).toBe('proof_claims')
  })

  it.each([undefined, 'https://sts.amazonaws.com', 'https://x.tokens.sts.global.api.aws', `${awsIssuer}/`, `${awsIssuer}.evil.example`, 'https://evil.example/?https://8f2c1d9e-77aa.tokens.sts.global.api.aws'])(
    'requires an account’s own issuer: %s',
    async (issuer) => {
      await expect(attestorOf('aws', { ...(issuer !== undefined && { issuer }) })).rejects.toMatchObject({ code: 'impossible' })
    },
  ) // prettier-ignore
})

describe('required conditions of an entry', () => {
  const main = { 'github:ref': 'refs/heads/main' }
  const guarded = { 'gitlab:ref-protected': 'true' }
  const cases: [string, Match, boolean][] = [
    ['github-actions', { 'github:repository-id': '42', ...main }, true],
    ['github-actions', { 'github:repository-id': ['42', '43'], ...main }, true],
    ['github-actions', { 'github:repository-owner-id': '7', 'github:repository-id': '*', ...main }, true],
    ['github-actions', { 'github:repository-id': '*', ...main }, false],
    ['github-actions', { 'github:repository-owner-id': '7', ...main }, false],
    ['github-actions', { 'github:repository-owner-id': '*', 'github:repository-id': '*', ...main }, false],
    ['github-actions', { 'oidc:sub': 'repo:acme/shop:ref:refs/heads/main', ...main }, false],
    ['github-actions', { 'github:repository': 'acme/shop', 'github:actor': 'ann', ...main }, false],
    ['github-actions', { 'oidc:repository_id': '42', ...main }, false],
    ['gitlab-ci', { 'gitlab:project-id': '42', ...guarded }, true],
    ['gitlab-ci', { 'gitlab:project-path': 'acme/shop', ...guarded }, false],
    ['google', { 'gcp:sub': '1' }, true],
    ['google', { 'gcp:email': 'web@shop.iam.gserviceaccount.com' }, false],
    ['aws', { 'aws:account': '123456789012', 'aws:principal': 'arn:aws:iam::123456789012:role/web' }, true],
    ['aws', { 'aws:account': '123456789012', 'aws:principal': '*' }, true],
    ['aws', { 'aws:account': '123456789012' }, false],
    ['aws', { 'aws:principal': 'arn:aws:iam::123456789012:role/web' }, false],
  ]
  it.each(cases)('%s: %j has the ids: %s', (preset, match, enough) => {
    const words = widthFault({ definition: { preset } }, match, false)
    expect(words === undefined).toBe(enough)
    if (words !== undefined) expect(words).toContain(requiredMatch({ definition: { preset } })[0]?.exact[0])
    expect(widthFault({ definition: { preset } }, match, true) === undefined).toBe(enough)
  })

  const runs: [string, Match, boolean][] = [
    ['github-actions', {}, false],
    ['github-actions', { 'github:ref': '*' }, false],
    ['github-actions', { 'github:workflow': 'deploy' }, false],
    ['github-actions', { 'github:event-name': 'push', 'github:ref-protected': 'true' }, false],
    ['github-actions', { 'github:ref': ['refs/heads/main', 'refs/heads/next'] }, true],
    ['github-actions', { 'github:environment': 'production' }, true],
    ['github-actions', { 'github:workflow-ref': 'acme/shop/.github/workflows/ci.yml@refs/heads/main' }, true],
    ['github-actions', { 'github:job-workflow-ref': 'acme/shop/.github/workflows/ci.yml@refs/heads/main' }, true],
    ['gitlab-ci', {}, false],
    ['gitlab-ci', { 'gitlab:ref': 'refs/heads/main' }, false],
    ['gitlab-ci', { 'gitlab:ref-protected': 'false' }, false],
    ['gitlab-ci', { 'gitlab:ref-protected': ['true', 'false'] }, false],
    ['gitlab-ci', { 'gitlab:ref-protected': '*' }, false],
    ['gitlab-ci', { 'gitlab:environment': 'production' }, false],
    ['gitlab-ci', { 'gitlab:environment-protected': 'true' }, false],
    ['gitlab-ci', { 'gitlab:ref-protected': 'true' }, true],
    ['gitlab-ci', { 'gitlab:environment': 'production', 'gitlab:environment-protected': 'true' }, true],
  ]
  it.each(runs)('%s: an id with %j distinguishes runs: %s', (preset, match, enough) => {
    const ids = preset === 'gitlab-ci' ? { 'gitlab:project-id': '42' } : { 'github:repository-id': '42' }
    const words = widthFault({ definition: { preset } }, { ...ids, ...match }, false)
    expect(words === undefined).toBe(enough)
    if (words !== undefined) expect(words).toContain('or state "wide": true')
    expect(widthFault({ definition: { preset } }, { ...ids, ...match }, true)).toBeUndefined()
  })

  it('nothing is required without a preset', () => {
    expect(widthFault({ definition: {} }, { 'oidc:sub': 'x' }, false)).toBeUndefined()
    expect(widthFault({ definition: { preset: 'constructor' } }, { 'oidc:sub': 'x' }, false)).toBeUndefined()
  })
})

describe('Nomad, as a plain issuer', () => {
  const nomad = { sub: 'global:default:app:web:web:purser', nomad_namespace: 'default', nomad_job_id: 'app', nomad_allocation_id: 'a1' }
  const entry: Match = { 'oidc:nomad_namespace': 'default', 'oidc:nomad_job_id': 'app' }
  const definition = { name: 'n', kind: 'oidc', issuer: 'https://nomad.example', audience, spiffeIdPrefix: '/n/', keys: { jwks: { keys: [jwkOf(rsa.publicKey, { kid: 'r1' })] } }, maxTokenAgeSeconds: 60, singleUse: false, otherAudiences: 'refuse' }
  const attestor = createAttestor({ id: 'a', name: 'n', kind: 'oidc', spiffeIdPrefix: '/n/', definition, revision: 1 }, partsFor(noNetwork).parts)
  const attestClaims = (claims: Record<string, unknown>) =>
    attestText(attestor, craft({ alg: 'RS256', kid: 'r1', typ: 'JWT' }, plain({ iss: 'https://nomad.example', ...nomad, ...claims }), rs256()), now)

  it.each([{ nomad_job_id: 'app-admin' }, { nomad_job_id: 'app/dispatch-1-2' }, { nomad_job_id: 'App' }, { nomad_namespace: 'prod' }, { nomad_job_id: ['app-admin'] }])('%j is another job', async (claims) => {
    expect(matches(entry, (await attestClaims(claims)).selectors, false)).toBe(false)
  })
  it('the default identity, without audience and end, is refused', async () => {
    expect(await codeOf(() => attestClaims({ aud: undefined, exp: undefined }))).toBe('proof_claims')
    expect(await codeOf(() => attestClaims({ exp: undefined }))).toBe('proof_claims')
  })
}) // prettier-ignore
