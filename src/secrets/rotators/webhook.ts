/**
 * Sends the value to a service of the operator, which sets it at its target and confirms. Purser signs the request. A
 * retry sends the same value.
 */
import { createHash } from 'node:crypto'
import type { Problem } from '../../errors.ts'
import type { Outbound } from '../../outbound/client.ts'
import { OutboundError } from '../../outbound/errors.ts'
import { faultOfAnchors } from '../../keys/trust-anchors.ts'
import { type FieldSpecs, checkFields, generateData } from '../generate.ts'
import type { SecretData } from '../value.ts'
import { type Effect, type Rotator, type RotatorConfig, RotatorError } from './rotator.ts'

type WebhookConfig = RotatorConfig & { url: string; generate: FieldSpecs; caPem?: string; timeoutSeconds?: number }

export type WebhookParts = {
  outbound: Pick<Outbound, 'fetchJson' | 'allows'>
  randomBytes: (size: number) => Buffer
  /** Signs a compact JWT with Purser's ES256 JWT key: these claims, issuer and times. */
  signClaims: (claims: { aud: string; jti: string; body_sha256: string }) => Promise<string>
}

const defaultTimeoutSeconds = 10
const maxBytes = 16_384

/** The schema of openapi.yaml validates the shape. */
const isWebhook = (config: RotatorConfig): config is WebhookConfig => typeof config['url'] === 'string'

function readConfig(config: RotatorConfig): WebhookConfig {
  if (isWebhook(config)) return config
  throw new RotatorError('bad_policy', 'the policy has no url', { hopeless: true })
}

export function webhook({ outbound, randomBytes, signClaims }: WebhookParts): Rotator {
  async function send(
    { config, rotationId, path, attempt }: Effect,
    { version, data }: { version: number; data: SecretData },
  ): Promise<void> {
    const { url, caPem, timeoutSeconds = defaultTimeoutSeconds } = readConfig(config)
    const body = JSON.stringify({ path, version, data, rotationId, attempt })
    const signature = await signClaims({
      aud: url,
      jti: `${rotationId}.${version}.${attempt}`,
      body_sha256: createHash('sha256').update(body).digest('base64'),
    })
    const { json } = await outbound.fetchJson(url, {
      configured: false,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'purser-signature': signature },
      body,
      maxBytes,
      timeoutMs: timeoutSeconds * 1000,
      ...(caPem !== undefined && { caPem }),
    })
    if (!confirms(json, rotationId))
      throw new RotatorError(
        'not_confirmed',
        'the answer is not {"confirmed": true} with the rotationId of the request',
      )
  }

  return {
    kind: 'webhook',
    effects: true,
    check(config) {
      const { url, generate, caPem } = readConfig(config)
      const detail = caPem === undefined ? undefined : faultOfAnchors(caPem)
      const anchors = detail === undefined ? [] : [{ pointer: '/caPem', detail }]
      return [...checkUrl(url, outbound), ...anchors, ...checkFields(generate, '/generate')]
    },
    recipient: (config) => readConfig(config).url,
    next: ({ config, ...live }) => generateData(readConfig(config).generate, live, randomBytes),
    async issue({ version, staged, ...effect }) {
      try {
        await send(effect, { version, data: staged })
      } catch (error) {
        throw error instanceof OutboundError ? new RotatorError(error.code, error.detail) : error
      }
    },
  }
}

/** The policy and the log show the URL: it must hold no credential. */
function checkUrl(text: string, outbound: Pick<Outbound, 'allows'>): Problem[] {
  const problem = (detail: string): Problem[] => [{ pointer: '/url', detail }]
  if (!URL.canParse(text)) return problem('must be a URL')
  const url = new URL(text)
  if (url.protocol !== 'https:' && !outbound.allows(text))
    return problem('must be https, or listed in PURSER_FETCH_ALLOW')
  const bare = url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  return bare ? [] : problem('must be without user name, query and fragment: the call is signed by Purser')
}

/** A default page answers 2xx too: only this body confirms. */
const confirms = (json: unknown, rotationId: string): boolean =>
  typeof json === 'object' &&
  json !== null &&
  'confirmed' in json &&
  json.confirmed === true &&
  'rotationId' in json &&
  json.rotationId === rotationId
