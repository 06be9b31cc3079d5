/** Sources without a network: the option, files and variables. */
import { statSync } from 'node:fs'
import { PurserError, wordsOf } from '../errors.ts'
import type { ProofOption } from '../types/options.ts'
import { noProof } from './errors.ts'
import { readToken, whyNot } from './file.ts'
import { type Detect, audiencePlaceholder, variable } from './machine.ts'

export const fromOption =
  (option: ProofOption | undefined): Detect =>
  () => {
    if (option === undefined) return { dismissed: 'the option proof is not given' }
    if (typeof option === 'string') {
      return { chosen: 'the token in the option proof', read: () => Promise.resolve(option), isLocal: true }
    }
    if (typeof option === 'object') {
      const chosen = `the file ${option.file} (option proof)`
      return { chosen, read: () => readToken(option.file, chosen), isLocal: true }
    }
    return {
      chosen: 'the function in the option proof',
      async read(request) {
        let token: unknown
        try {
          token = await option(request)
        } catch (error) {
          throw noProof(`the function in the option proof failed: ${wordsOf(error)}`, error)
        }
        if (typeof token !== 'string') throw noProof('the function in the option proof gave no text')
        return token
      },
    }
  }

/** A join token from an operator, for workloads without an orchestrator. */
export const joinToken: Detect = (machine) => {
  const token = variable(machine, 'PURSER_JOIN_TOKEN')
  const path = variable(machine, 'PURSER_JOIN_TOKEN_FILE')
  if (token !== undefined && path !== undefined) {
    throw new PurserError('bad_options', 'PURSER_JOIN_TOKEN and PURSER_JOIN_TOKEN_FILE are both set; set only one')
  }
  if (token !== undefined) {
    return { chosen: 'the join token in PURSER_JOIN_TOKEN', read: () => Promise.resolve(token) }
  }
  if (path === undefined) return { dismissed: 'neither PURSER_JOIN_TOKEN nor PURSER_JOIN_TOKEN_FILE is set' }
  const chosen = `the file ${path} (PURSER_JOIN_TOKEN_FILE)`
  return { chosen, read: () => readToken(path, chosen) }
}

export const namedFile: Detect = (machine) => {
  const path = variable(machine, 'PURSER_PROOF_FILE')
  if (path === undefined) return { dismissed: 'PURSER_PROOF_FILE is not set' }
  const chosen = `the file ${path} (PURSER_PROOF_FILE)`
  return { chosen, read: () => readToken(path, chosen), isLocal: true }
}

/** A file that exists and can't be read is chosen: reading it reports the reason, and no other source replaces it silently. */
export const projectedToken: Detect = ({ tokenFile }) => {
  const chosen = `the file ${tokenFile} (where a projected token is mounted)`
  try {
    statSync(tokenFile)
  } catch (error) {
    const why = whyNot(error)
    if (why === 'does not exist') return { dismissed: `${tokenFile} ${why}` }
  }
  return { chosen, read: () => readToken(tokenFile, chosen), isLocal: true }
}

const gitlabLines = `
    id_tokens:
      PURSER_ID_TOKEN:
        aud: ${audiencePlaceholder}`

/** A job of GitLab CI: its tokens are created at its start, with the names and audiences in `.gitlab-ci.yml`. */
export const gitlabCi: Detect = (machine) => {
  const token = variable(machine, 'PURSER_ID_TOKEN')
  if (token !== undefined) {
    return { chosen: "the CI job's token in PURSER_ID_TOKEN", read: () => Promise.resolve(token), isLocal: true }
  }
  return {
    dismissed:
      variable(machine, 'GITLAB_CI') === 'true'
        ? `this job of GitLab CI has no PURSER_ID_TOKEN; add these lines to it:${gitlabLines}`
        : 'not a job of GitLab CI (neither GITLAB_CI nor PURSER_ID_TOKEN is set)',
  }
}

/** The node agent's socket (SPIFFE Workload API), listed to explain why it is dismissed. */
export const workloadApi: Detect = (machine) => ({
  dismissed:
    variable(machine, 'SPIFFE_ENDPOINT_SOCKET') === undefined
      ? 'SPIFFE_ENDPOINT_SOCKET is not set'
      : 'SPIFFE_ENDPOINT_SOCKET is set, but this version does not speak to the Workload API yet',
})
