/** A machine or service of Google Cloud: its metadata server issues a token for any audience. */

import { type Detect, type Machine, firstAudience, inPod, variable } from './machine.ts'
import { noProof, failed } from './errors.ts'

const who = "Google's metadata server"

/** The evidence of Google Cloud, in words; undefined without any. */
function evidenceOf(machine: Machine): string | undefined {
  const name = ['GCE_METADATA_HOST', 'K_SERVICE', 'CLOUD_RUN_JOB'].find((key) => variable(machine, key) !== undefined)
  if (name !== undefined) return name
  if (variable(machine, 'METADATA_SERVER_DETECTION') === 'assume-present') return 'METADATA_SERVER_DETECTION'
  return machine.dmi('product_name').startsWith('Google') ? 'by its firmware' : undefined
}

export const google: Detect = (machine) => {
  if (variable(machine, 'METADATA_SERVER_DETECTION') === 'none')
    return { dismissed: `${who} is disabled (METADATA_SERVER_DETECTION is none)` }
  const evidence = evidenceOf(machine)
  if (evidence === undefined) return { dismissed: 'no evidence of Google Cloud' }
  if (inPod(machine) && variable(machine, 'GCE_METADATA_HOST') === undefined) {
    return {
      dismissed: `in a pod ${who} may speak for the node: mount a projected token, or set GCE_METADATA_HOST to use it`,
    }
  }
  return {
    chosen: `a token of this machine from ${who} (${evidence})`,
    async read(request) {
      const host = variable(machine, 'GCE_METADATA_HOST') ?? 'metadata.google.internal'
      if (!/^[\w.:[\]-]+$/.test(host) || !URL.canParse(`http://${host}`)) throw noProof('GCE_METADATA_HOST is no host')
      const url = new URL(`http://${host}/computeMetadata/v1/instance/service-accounts/default/identity`)
      url.searchParams.set('audience', firstAudience(request))
      url.searchParams.set('format', 'full')
      const headers = { 'metadata-flavor': 'Google' }
      const { status, headers: replyHeaders, text } = await machine.get({ who, url, headers, signal: request.signal })
      // Every answer of the metadata server has this header.
      if (replyHeaders['metadata-flavor'] !== 'Google')
        throw failed({ who, url }, 'answered without "Metadata-Flavor: Google", so it is not the metadata server')
      if (status === 404) throw failed({ who, url }, 'knows no service account: attach one to this machine')
      if (status !== 200) throw failed({ who, url }, `answered ${status} and no token`)
      return text
    },
  }
}
