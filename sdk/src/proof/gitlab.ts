/** A job of GitLab CI: its tokens are made when it starts, under the names and audiences that `.gitlab-ci.yml` gives. */
import { type Detect, audiencePlaceholder, variable } from './machine.ts'

const lines = `
    id_tokens:
      PURSER_ID_TOKEN:
        aud: ${audiencePlaceholder}`

export const gitlabCi: Detect = (machine) => {
  const token = variable(machine, 'PURSER_ID_TOKEN')
  if (token !== undefined) {
    return { chosen: "the CI job's token in PURSER_ID_TOKEN", read: () => Promise.resolve(token), isHere: true }
  }
  return {
    dismissed:
      variable(machine, 'GITLAB_CI') === 'true'
        ? `this job of GitLab CI has no PURSER_ID_TOKEN; add these lines to it:${lines}`
        : 'not a job of GitLab CI (neither GITLAB_CI nor PURSER_ID_TOKEN is set)',
  }
}
