/**
 * Reads the facts for a new entry from a workload's token. The token is not sent and not verified: an entry matches only
 * facts that its attestor has verified.
 */
import { readKubeClaims } from '../attest/kube-facts.ts'
import { type PresetName, presets } from '../attest/presets.ts'
import { addressOf, readProofText } from '../attest/proof-text.ts'
import { Refusal, refusals } from '../errors.ts'
import type { Api } from './api.ts'
import type { Schemas } from './api-types.ts'
import { usageError } from './io.ts'
import type { Facts } from './options.ts'

/** The facts to match: ids, since names at these issuers change hands, and what distinguishes runs of a repository. */
const proposed: Record<PresetName, readonly string[]> = {
  'github-actions': ['github:repository-owner-id', 'github:repository-id', 'github:ref', 'github:environment'],
  'gitlab-ci': ['gitlab:namespace-id', 'gitlab:project-id', 'gitlab:ref', 'gitlab:ref-protected'],
  google: ['gcp:sub'],
  aws: ['aws:account', 'aws:principal'],
}

/** @throws CliError when it is not a token of this attestor's kind */
export function matchFromProof(token: string, attestor: Schemas['Attestor']): Facts {
  const { name, kind } = attestor
  return reading(() => {
    const { claims } = readProofText(token.trim())
    const subject = typeof claims.sub === 'string' ? claims.sub : ''
    if (kind === 'kubernetes') {
      const { namespace, account } = readKubeClaims(claims, subject)
      return { 'k8s:ns': namespace, 'k8s:sa': account.name, 'k8s:sa-uid': account.uid }
    }
    if (kind !== 'oidc') throw usageError(`attestor ${name} does not accept readable tokens: use --match`)
    const { preset } = attestor
    if (preset === undefined) return { 'oidc:sub': subject }
    return Object.fromEntries(presets[preset].read(claims).facts.filter(([key]) => proposed[preset].includes(key)))
  })
}

/** The attestor of that name, or the only one for the issuer and audience of the token. */
export async function attestorFor(api: Api, name: string | undefined, token?: string): Promise<Schemas['Attestor']> {
  if (name !== undefined) {
    return (await api.call('GET', '/api/v1/attestors/{name}', { path: { name } })).body
  }
  if (token === undefined) throw usageError('the attestor is missing: give --attestor')
  const { issuer, audiences } = reading(() => addressOf(readProofText(token.trim())))
  const all = await api.all('/api/v1/attestors')
  const match = all.find(
    (attestor) =>
      attestor.kind !== 'join-token' && attestor.issuer === issuer && audiences.includes(attestor.audience ?? ''),
  )
  if (match) return match
  throw usageError(
    `no attestor accepts proofs of ${issuer} for ${audiences.join(', ')}: create one, or name one with --attestor`,
  )
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { explanation = {} } = error.info
    const more = Object.values(explanation).map(String).join(' ')
    throw usageError(`the proof cannot be read: ${refusals[error.code].title}${more && ` (${more})`}`)
  }
}
