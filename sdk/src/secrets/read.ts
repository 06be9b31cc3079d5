/** Recorded reads: each value that comes is held against its receipt, by the same rules as credentials. */
import { checkReceipt } from '../log/check-receipt.ts'
import { ask } from '../connection/ask.ts'
import { compareSecrets, differ, same } from '../credentials/compare-entry.ts'
import { PurserError } from '../errors.ts'
import { fields } from '../json/fields.ts'
import type { Held } from '../renewal/held-credentials.ts'
import type { Credential } from '../identity/authentication.ts'
import { readReceipt } from '../credentials/reply.ts'
import type { ServerView } from '../credentials/server-view.ts'
import type { Settings } from '../credentials/settings.ts'
import type { Transport } from '../connection/transport.ts'
import type { InTurn } from '../time/turn.ts'
import { isObject } from '../verify/canonical.ts'
import { type SecretReply, bytesFor, faultIn, readSecrets } from '../credentials/secret.ts'
import type { SecretOption } from '../types/secrets.ts'

/** With the session that the log says holds them. */
export type ReadNow = (
  wanted: readonly SecretOption[],
  signal: AbortSignal,
) => Promise<{ secrets: SecretReply[]; session: string }>

export type ReadParts = {
  settings: Pick<Settings, 'receipts'>
  transport: Transport
  server: (signal: AbortSignal) => Promise<ServerView>
  credential: Credential
  held: Pick<Held, 'newest'>
  warn: (warning: string) => void
  inTurn: InTurn
}

/** What this client shows where it asks about secrets. @throws PurserError `not_requested` */
export function shownBy(credential: Credential): NonNullable<ReturnType<Credential>> {
  const shown = credential()
  if (shown) return shown
  throw new PurserError(
    'not_requested',
    'this client holds neither a live certificate that Purser sees nor an access token, so it can ask for no secret: connect with accessToken: true',
  )
}

export const createReadNow =
  (parts: ReadParts): ReadNow =>
  (wanted, signal) =>
    parts.inTurn(() => readOnce(parts, wanted, signal))

async function readOnce(parts: ReadParts, wanted: readonly SecretOption[], signal: AbortSignal): ReturnType<ReadNow> {
  const { transport, credential, held } = parts
  try {
    const view = await parts.server(signal)
    if (!view.info.features.includes('secrets'))
      throw new PurserError('not_offered', `the server (version ${view.info.version}) has no secrets: update it`)
    const since = view.witness?.since()
    const { json, answer } = await ask(
      transport,
      {
        method: 'POST',
        path: '/api/v1/secrets:read',
        body: JSON.stringify({ secrets: wanted, ...(since && { receipt: since }) }),
        maxBytes: 256 * 1024 + bytesFor(wanted.length),
        ...shownBy(credential),
      },
      'the secrets',
      signal,
    )
    const secrets = readSecrets(json.secrets)
    const fault = faultIn(secrets, wanted)
    if (fault !== undefined) throw new PurserError('bad_reply', `the secrets were thrown away: ${fault}`)
    const { spiffeId, session } = held.newest()
    let holder = session.id
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
      if (typeof actor.session === 'string') holder = actor.session
    })
    return { secrets, session: holder }
  } finally {
    transport.rest()
  }
}
