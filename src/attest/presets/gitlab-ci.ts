/** GitLab CI `id_tokens`. Booleans are strings; ids are strings or numbers. */
import { type Preset, fact, idOf, shortFacts, textOf } from './preset.ts'

const names = [
  'project_id', 'project_path', 'project_visibility', 'namespace_id', 'namespace_path',
  'job_project_id', 'job_project_path', 'job_namespace_id', 'job_namespace_path',
  'user_id', 'user_login', 'user_access_level', 'pipeline_id', 'pipeline_source', 'job_id',
  'ref_type', 'ref_protected', 'sha', 'ci_config_ref_uri', 'ci_config_sha',
  'environment', 'environment_protected', 'environment_action', 'deployment_tier', 'runner_id', 'runner_environment',
] // prettier-ignore

const folders: Record<string, string> = { branch: 'refs/heads/', tag: 'refs/tags/' }

/** A tag and a branch may share a name, so `gitlab:ref` is the whole ref (`refs/heads/main`), as at GitHub. */
function wholeRef(claims: Record<string, unknown>): string | undefined {
  const [path, ref, type] = ['ref_path', 'ref', 'ref_type'].map((name) => textOf(claims, name))
  if (path !== undefined) return path.startsWith('refs/') ? path : undefined
  const folder = type !== undefined && Object.hasOwn(folders, type) ? folders[type] : undefined
  return folder !== undefined && ref !== undefined ? folder + ref : undefined
}

const protectedRuns = [
  [{ key: 'gitlab:ref-protected', values: ['true'] }],
  [{ key: 'gitlab:environment' }, { key: 'gitlab:environment-protected', values: ['true'] }],
]

export const gitlabCi: Preset = {
  prefix: 'gitlab:',
  issuer: 'https://gitlab.com',
  keys: { discovery: true },
  algorithms: ['RS256'],
  // A job has one token for its whole run.
  singleUse: false,
  requiredMatch: [{ exact: ['gitlab:project-id'] }, { exact: ['gitlab:namespace-id'], any: ['gitlab:project-id'] }],
  narrowMatch: { why: 'a project’s id alone admits every branch that a developer can push', ways: protectedRuns },
  approvedRuns: protectedRuns,
  read(claims) {
    const job = ['project_id', 'job_id'].map((name) => idOf(claims, name))
    const facts = [...shortFacts('gitlab', claims, names), ...fact('gitlab:ref', wholeRef(claims))]
    return { facts, instance: ['gitlab-job', ...job] }
  },
}
