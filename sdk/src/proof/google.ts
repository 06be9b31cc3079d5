/** A machine or service of Google Cloud: its metadata server makes a token for any audience (contract: section 5). */

import { type Detect, type Machine, firstAudience, inPod, variable } from './machine.ts'
import { noProof, failed } from './errors.ts'

const who = "Google's metadata server"

/** Why this is Google's, in words; undefined where nothing says so. */
function signOf(machine: Machine): string | undefined {
  const set = ['GCE_METADATA_HOST', 'K_SERVICE', 'CLOUD_RUN_JOB'].find((name) => variable(machine, name) !== undefined)
  if (set !== undefined) return set
  if (variable(machine, 'METADATA_SERVER_DETECTION') === 'assume-present') return 'METADATA_SERVER_DETECTION'
  return machine.dmi('product_name').startsWith('Google') ? 'by its firmware' : undefined
}

export const google: Detect = (machine) => {
  if (variable(machine, 'METADATA_SERVER_DETECTION') === 'none')
    return { dismissed: `${who} is not to be asked (METADATA_SERVER_DETECTION is none)` }
  const sign = signOf(machine)
  if (sign === undefined) return { dismissed: 'no sign of Google Cloud' }
  if (inPod(machine) && variable(machine, 'GCE_METADATA_HOST') === undefined) {
    return {
      dismissed: `in a pod ${who} may speak for the node: mount a projected token, or set GCE_METADATA_HOST to have it asked`,
    }
  }
  return {
    chosen: `a token of this machine from ${who} (${sign})`,
    async read(request) {
      const host = variable(machine, 'GCE_METADATA_HOST') ?? 'metadata.google.internal'
      if (!/^[\w.:[\]-]+$/.test(host) || !URL.canParse(`http://${host}`)) throw noProof('GCE_METADATA_HOST is no host')
      const url = new URL(`http://${host}/computeMetadata/v1/instance/service-accounts/default/identity`)
      url.searchParams.set('audience', firstAudience(request))
      url.searchParams.set('format', 'full')
      const headers = { 'metadata-flavor': 'Google' }
      const { status, headers: answered, text } = await machine.get({ who, url, headers, signal: request.signal })
      // Every answer of the real one has it: without it, something else listens there.
      if (answered['metadata-flavor'] !== 'Google')
        throw failed({ who, url }, 'answered without "Metadata-Flavor: Google", so it is not the metadata server')
      if (status === 404) throw failed({ who, url }, 'knows no service account: attach one to this machine')
      if (status !== 200) throw failed({ who, url }, `answered ${status} and no token`)
      return text
    },
  }
}
