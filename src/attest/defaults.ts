/** The defaults of attestors. The command line completes definitions with them, to compare them with the server's. */
import type { AttestorSpec } from './definition.ts'
import { presets } from './presets.ts'

type Named = Pick<AttestorSpec, 'name' | 'preset'>

const discovery = { discovery: true } as const

/** CI tokens live for minutes, those of clouds for an hour. A preset has its own issuer, keys and use. */
export function oidcDefaults({ name, preset: presetName }: Named) {
  const preset = presetName && presets[presetName]
  return {
    ...(preset?.issuer !== undefined && { issuer: preset.issuer }),
    spiffeIdPrefix: `/${name}/`,
    keys: preset?.keys ?? discovery,
    maxTokenAgeSeconds: 3600,
    singleUse: preset?.singleUse ?? false,
    otherAudiences: 'refuse' as const,
  }
}

export const kubernetesDefaults = ({ name }: Named) => ({
  spiffeIdPrefix: `/${name}/`,
  verify: 'jwks-then-tokenreview' as const,
  keys: discovery,
  maxTokenAgeSeconds: 24 * 3600,
  singleUse: false,
  otherAudiences: 'allow' as const,
})
