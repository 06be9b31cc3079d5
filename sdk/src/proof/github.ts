/**
 * A job of GitHub Actions: the runner issues a token for any audience to the holder of the job's request token. Purser accepts
 * each of GitHub's tokens once, so each use requests a new one.
 */

import { type Detect, firstAudience, variable } from './machine.ts'
import { membersOf } from '../json/parse.ts'
import { noProof, failed } from './errors.ts'

const permission = 'add `permissions: id-token: write` to the job (a pull request from a fork never has it)'
const who = "GitHub's token service"

export const githubActions: Detect = (machine) => {
  const place = variable(machine, 'ACTIONS_ID_TOKEN_REQUEST_URL')
  const bearer = variable(machine, 'ACTIONS_ID_TOKEN_REQUEST_TOKEN')
  if (place === undefined || bearer === undefined) {
    return {
      dismissed:
        variable(machine, 'GITHUB_ACTIONS') === 'true'
          ? `this job of GitHub Actions can't ask for a token: ${permission}`
          : 'not a job of GitHub Actions (GITHUB_ACTIONS is not set)',
    }
  }
  return {
    chosen: 'a token of this GitHub Actions job (ACTIONS_ID_TOKEN_REQUEST_URL)',
    async read(request) {
      const url = URL.canParse(place) ? new URL(place) : undefined
      if (url?.protocol !== 'https:') throw noProof('ACTIONS_ID_TOKEN_REQUEST_URL is no https URL')
      url.searchParams.set('audience', firstAudience(request))
      const headers = { authorization: `Bearer ${bearer}`, accept: 'application/json' }
      const { status, text } = await machine.get({ who, url, headers, signal: request.signal })
      if (status !== 200) throw failed({ who, url }, `answered ${status} and no token: ${permission}`)
      const token = membersOf(text)?.value
      if (typeof token !== 'string' || token === '') throw failed({ who, url }, 'answered without a token')
      return token
    },
  }
}
