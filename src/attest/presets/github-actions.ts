/**
 * GitHub Actions. Organizations configure the contents of `sub`, and names of owners and repositories can be taken over. So
 * `sub` is not parsed, and an entry must match ids.
 */
import { refuse } from '../../errors.ts'
import { type Preset, idOf, shortFacts, textOf } from './preset.ts'

const names = [
  'repository', 'repository_id', 'repository_owner', 'repository_owner_id', 'repository_visibility',
  'ref', 'ref_type', 'ref_protected', 'sha', 'base_ref', 'head_ref', 'event_name', 'environment',
  'workflow', 'workflow_ref', 'workflow_sha', 'job_workflow_ref', 'job_workflow_sha',
  'run_id', 'run_number', 'run_attempt', 'check_run_id', 'runner_environment',
  'actor', 'actor_id', 'enterprise', 'enterprise_id',
] // prettier-ignore

export const githubActions: Preset = {
  prefix: 'github:',
  issuer: 'https://token.actions.githubusercontent.com',
  keys: { discovery: true },
  algorithms: ['RS256'],
  singleUse: true,
  requiredMatch: [
    { exact: ['github:repository-id'] },
    { exact: ['github:repository-owner-id'], any: ['github:repository-id'] },
  ],
  // Any branch can choose its `github:workflow`, a display name; the refs of a workflow identify its file.
  narrowMatch: {
    why: 'a repository’s id alone admits every branch, pull request and workflow',
    ways: ['github:ref', 'github:environment', 'github:workflow-ref', 'github:job-workflow-ref'].map((key) => [
      { key },
    ]),
  },
  approvedRuns: [[{ key: 'github:ref-protected', values: ['true'] }], [{ key: 'github:environment' }]],
  read(claims) {
    // Anyone who opens a pull request starts such a run, and its token has the base branch's ref, which an entry cannot
    // tell from a run of that branch. An attestor of kind oidc without this preset can allow it.
    if (claims.event_name === 'pull_request_target')
      throw refuse('proof_rejected', { explanation: { detail: 'runs of pull_request_target are not accepted' } })
    const run = ['repository_id', 'run_id', 'run_attempt'].map((name) => idOf(claims, name))
    idOf(claims, 'repository_owner_id')
    // The check run distinguishes jobs of one run. Tokens from before November 2025 have none.
    const job = textOf(claims, 'check_run_id') ?? `sub ${idOf(claims, 'sub')}`
    return { facts: shortFacts('github', claims, names), instance: ['github-run', ...run, job] }
  },
}
