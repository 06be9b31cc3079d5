/** A job of GitLab CI: its tokens are created at its start, with the names and audiences in `.gitlab-ci.yml`. */
import { type Detect, audiencePlaceholder, variable } from './machine.ts'

const lines = `
    id_tokens:
      PURSER_ID_TOKEN:
        aud: ${audiencePlaceholder}`

export const gitlabCi: Detect = (machine) => {
  const token = variable(machine, 'PURSER_ID_TOKEN')
  if (token !== undefined) {
    return { chosen: "the CI job's token in PURSER_ID_TOKEN", read: () => Promise.resolve(token), isLocal: true }
  }
  return {
    dismissed:
      variable(machine, 'GITLAB_CI') === 'true'
        ? `this job of GitLab CI has no PURSER_ID_TOKEN; add these lines to it:${lines}`
        : 'not a job of GitLab CI (neither GITLAB_CI nor PURSER_ID_TOKEN is set)',
  }
}
