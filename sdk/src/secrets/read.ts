/** Reads secrets. Each read is recorded, and verified against its receipt by the same rules as credentials. */
import { requestJson } from '../connection/request-json.ts'
import type { Transport } from '../connection/transport.ts'
import { compareSecrets, differ, same } from '../credentials/compare-entry.ts'
import { readReceipt } from '../credentials/reply.ts'
import { type SecretReply, bytesFor, readSecrets, secretsFault } from '../credentials/secret.ts'
import type { ServerView } from '../credentials/server-view.ts'
import type { Settings } from '../credentials/settings.ts'
import { PurserError } from '../errors.ts'
import type { Authentication } from '../identity/authentication.ts'
import { fields } from '../json/fields.ts'
import { checkReceipt } from '../log/check-receipt.ts'
import type { HeldCredentials } from '../renewal/held-credentials.ts'
import type { InTurn } from '../time/turn.ts'
import type { SecretOption } from '../types/secrets.ts'
import { isObject } from '../verify/canonical.ts'

/** @returns the secrets, and the session that the log names as their reader */
export type ReadNow = (
  options: readonly SecretOption[],
  signal: AbortSignal,
) => Promise<{ secrets: SecretReply[]; session: string }>

export type ReadParts = {
  settings: Pick<Settings, 'receipts'>
  transport: Transport
  server: (signal: AbortSignal) => Promise<ServerView>
  authentication: Authentication
  held: Pick<HeldCredentials, 'newest'>
  warn: (warning: string) => void
  inTurn: InTurn
}

/** The credential to present when requesting secrets. @throws PurserError `not_requested` */
export function authenticate(authentication: Authentication): NonNullable<ReturnType<Authentication>> {
  const credential = authentication()
  if (credential) return credential
  throw new PurserError(
    'not_requested',
    'this client has neither a live certificate that reaches Purser nor an access token, so it can request no secret: connect with accessToken: true',
  )
}

export const createReadNow =
  (parts: ReadParts): ReadNow =>
  (options, signal) =>
    parts.inTurn(() => readOnce(parts, options, signal))

async function readOnce(parts: ReadParts, options: readonly SecretOption[], signal: AbortSignal): ReturnType<ReadNow> {
  const { transport, authentication, held } = parts
  try {
    const view = await parts.server(signal)
    if (!view.info.features.includes('secrets'))
      throw new PurserError('not_offered', `the server (version ${view.info.version}) has no secrets: update it`)
    const since = view.witness?.since()
    const request = {
      method: 'POST',
      path: '/api/v1/secrets:read',
      body: JSON.stringify({ secrets: options, ...(since && { receipt: since }) }),
      maxBytes: 256 * 1024 + bytesFor(options.length),
      ...authenticate(authentication),
    } as const
    const { json, answer } = await requestJson(transport, request, 'the secrets', signal)
    const secrets = readSecrets(json.secrets)
    const fault = secretsFault(secrets, options)
    if (fault !== undefined) throw new PurserError('bad_reply', `the secrets were discarded: ${fault}`)
    const { spiffeId, session } = held.newest()
    let reader = session.id
    const receipt = json.receipt === undefined ? undefined : readReceipt(fields(json.receipt, 'receipt'))
    await checkReceipt(parts, view, receipt, signal, (entry) => {
      const actor = isObject(entry.actor) ? entry.actor : {}
      const issued = isObject(entry.issued) ? entry.issued : {}
      same('action', entry.action, 'secret.read')
      same('outcome', entry.outcome, 'granted')
      same('request id', entry.requestId, answer.headers['purser-request-id'])
      same('SPIFFE ID', actor.spiffeId, spiffeId)
      for (const kind of Object.keys(issued)) if (kind !== 'secrets') differ(kind, 'some', undefined)
      compareSecrets(issued.secrets, secrets)
      if (typeof actor.session === 'string') reader = actor.session
    })
    return { secrets, session: reader }
  } finally {
    transport.rest()
  }
}
