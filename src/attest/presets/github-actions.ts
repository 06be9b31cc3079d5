/**
 * GitHub Actions. Organizations choose the format of `sub`, and names of owners and repositories can be taken over.
 * Therefore `sub` is not parsed, and a workload entry must match ids.
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
  // `github:workflow` is a name that any branch can give its own file; the refs of workflows say where the file lies.
  narrowMatch: {
    why: 'a repository’s id alone admits every branch, pull request and workflow',
    ways: ['github:ref', 'github:environment', 'github:workflow-ref', 'github:job-workflow-ref'].map((key) => [
      { key },
    ]),
  },
  read(claims) {
    // Such a run is started by whoever opens a pull request, and its token carries the base branch's ref. An entry for
    // that ref would not see the difference, so it takes an attestor of kind oidc without this preset to allow it.
    if (claims.event_name === 'pull_request_target')
      throw refuse('proof_rejected', { explanation: { detail: 'runs of pull_request_target are not taken' } })
    const run = ['repository_id', 'run_id', 'run_attempt'].map((name) => idOf(claims, name))
    idOf(claims, 'repository_owner_id')
    // Jobs of one run are told apart by their check run; tokens from before November 2025 have none.
    const job = textOf(claims, 'check_run_id') ?? `sub ${idOf(claims, 'sub')}`
    return { facts: shortFacts('github', claims, names), instance: ['github-run', ...run, job] }
  },
}
