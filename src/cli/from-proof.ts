/**
 * What a proof says of its workload, for an entry that shall match it. The token is read here and sent nowhere; nothing of
 * it is verified, since the entry will only ever match facts that its attestor has verified.
 */
import { readKubeClaims } from '../attest/kube-facts.ts'
import { type PresetName, presets } from '../attest/presets.ts'
import { addressOf, readProofText } from '../attest/proof-text.ts'
import { Refusal, refusals } from '../errors.ts'
import type { Api } from './api.ts'
import type { Schemas } from './api-types.ts'
import { CliError, exitCodes } from './io.ts'
import type { Facts } from './options.ts'

/** Of what a preset reads: the ids, since names at these issuers change hands, and what tells a repository's runs apart. */
const proposed: Record<PresetName, readonly string[]> = {
  'github-actions': ['github:repository-owner-id', 'github:repository-id', 'github:ref', 'github:environment'],
  'gitlab-ci': ['gitlab:namespace-id', 'gitlab:project-id', 'gitlab:ref', 'gitlab:ref-protected'],
  google: ['gcp:sub'],
  aws: ['aws:account', 'aws:principal'],
}

/** @throws CliError where it is no token, or none of this attestor's kind */
export function matchFromProof(token: string, attestor: Schemas['Attestor']): Facts {
  const { name, kind } = attestor
  return reading(() => {
    const { claims } = readProofText(token.trim())
    const subject = typeof claims.sub === 'string' ? claims.sub : ''
    if (kind === 'kubernetes') {
      const { namespace, account } = readKubeClaims(claims, subject)
      return { 'k8s:ns': namespace, 'k8s:sa': account.name, 'k8s:sa-uid': account.uid }
    }
    if (kind !== 'oidc') throw new CliError(`attestor ${name} takes no token that can be read`, exitCodes.usage)
    const { preset } = attestor
    if (preset === undefined) return { 'oidc:sub': subject }
    return Object.fromEntries(presets[preset].read(claims).facts.filter(([key]) => proposed[preset].includes(key)))
  })
}

/** The attestor of that name, or the one that takes proofs of this issuer and audience: their pair is unique. */
export async function attestorFor(api: Api, named: string | undefined, token?: string): Promise<Schemas['Attestor']> {
  if (named !== undefined) {
    return (await api.call('GET', '/api/v1/attestors/{name}', { path: { name: named } })).body
  }
  if (token === undefined) throw new CliError('name the attestor with --attestor', exitCodes.usage)
  const { issuer, audiences } = reading(() => addressOf(readProofText(token.trim())))
  const all = await api.all('/api/v1/attestors')
  const found = all.find(
    (attestor) =>
      attestor.kind !== 'join-token' && attestor.issuer === issuer && audiences.includes(attestor.audience ?? ''),
  )
  if (found) return found
  throw new CliError(`no attestor takes proofs of ${issuer} for ${audiences.join(', ')}`, exitCodes.usage)
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { explanation = {} } = error.info
    const more = Object.values(explanation).map(String).join(' ')
    throw new CliError(`the proof: ${refusals[error.code].title}${more && ` (${more})`}`, exitCodes.usage)
  }
}
