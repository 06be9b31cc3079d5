/** Checks the definition of a `kubernetes` attestor. */
import { type ApiServerDefinition, inCluster } from './api-server.ts'
import { kubernetesDefaults } from './defaults.ts'
import {
  type AttestorSpec,
  type CheckedDefinition,
  type DefinitionParts,
  type Report,
  checkAnchors,
  checkCommon,
  checkUrl,
} from './definition.ts'
import type { KubernetesDefinition } from './kubernetes.ts'
import { readProofText } from './proof-text.ts'

type ApiServerSpec = NonNullable<AttestorSpec['apiServer']>

/** Audiences of API servers: every pod holds a token for one of these (CVE-2025-32963). */
const apiServerAudience = /^(?:https:\/\/)?kubernetes(?:\.default(?:\.svc(?:\.[a-z0-9.-]+)?)?)?\/?$/

export async function checkKubernetes(
  spec: AttestorSpec,
  { audiences, readFile }: DefinitionParts,
  ownIssuer: string,
  report: Report,
): Promise<CheckedDefinition> {
  const defaults = kubernetesDefaults(spec)
  const verify = spec.verify ?? defaults.verify
  const apiServer = spec.apiServer && checkApiServer(spec.apiServer, report)
  if (!spec.apiServer && verify !== 'jwks')
    report('/apiServer', `is needed to verify by ${verify}; without it, only "jwks" is possible`)
  const issuer = spec.issuer ?? (spec.apiServer === 'in-cluster' ? await ownIssuerOf(readFile, report) : undefined)
  if (issuer === undefined && spec.apiServer !== 'in-cluster') report('/issuer', 'is required')
  checkCommon({ ...spec, ...(issuer !== undefined && { issuer }) }, audiences, ownIssuer, report)
  if (spec.audience !== undefined && (spec.audience === issuer || apiServerAudience.test(spec.audience)))
    report('/audience', 'must not be one of the API server’s own: every pod holds a token for that')

  const { apiServer: _, ...rest } = spec
  const definition: KubernetesDefinition = {
    ...defaults,
    ...rest,
    kind: 'kubernetes',
    issuer: issuer ?? '',
    audience: spec.audience ?? '',
    ...(apiServer && { apiServer }),
  }
  const { name, kind, audience, spiffeIdPrefix } = definition
  return { name, kind, issuer: definition.issuer, audience, spiffeIdPrefix, definition }
}

function checkApiServer(spec: ApiServerSpec, report: Report): ApiServerDefinition | undefined {
  if (spec === 'in-cluster') return spec
  const { url, caPem, tokenFile, auth } = spec
  const at = '/apiServer'
  checkUrl(`${at}/url`, url, report)
  checkAnchors(`${at}/caPem`, caPem, report)
  if (auth !== undefined) report(`${at}/auth`, 'this server can’t be a cluster’s issuer yet: give a tokenFile')
  if (tokenFile === undefined) return undefined
  // The token goes to the configured URL. So an operator must not be able to name Purser's own account token, which would
  // send its access to another server (CVE-2026-2808). Only "in-cluster" uses it, with the URL of its own cluster.
  const isPlainPath = tokenFile.startsWith('/') && !tokenFile.split('/').some((part) => part === '..' || part === '.')
  if (!isPlainPath || tokenFile.includes('//')) report(`${at}/tokenFile`, 'must be an absolute path without . and ..')
  if (/\/secrets\/kubernetes\.io\//.test(tokenFile))
    report(`${at}/tokenFile`, 'Purser’s own account is used with "in-cluster" alone: mount a projected token for this')
  return { url, caPem, tokenFile }
}

/** The issuer of the cluster that Purser runs in, from its pod's token. */
async function ownIssuerOf(readFile: DefinitionParts['readFile'], report: Report): Promise<string | undefined> {
  const { tokenFile } = inCluster
  const text = await readFile(tokenFile).catch(() => undefined)
  if (text === undefined) {
    report(
      '/apiServer',
      `is "in-cluster", but this server does not run in a cluster: it can't read ${tokenFile}. Run the server in that cluster, ` +
        'or name the cluster: its issuer, and url, caPem and tokenFile of its API server ' +
        '(purser: --issuer, --api-server, --api-ca, --api-token-file)',
    )
    return undefined
  }
  const issuer = issuerIn(text.trim())
  if (issuer === undefined) {
    report(
      '/issuer',
      `is required: the token in ${tokenFile} names no issuer. Give the cluster's --service-account-issuer`,
    )
  }
  return issuer
}

function issuerIn(token: string): string | undefined {
  try {
    const { iss } = readProofText(token).claims
    return typeof iss === 'string' ? iss : undefined
  } catch {
    return undefined
  }
}
