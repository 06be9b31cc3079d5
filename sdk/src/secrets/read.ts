/** Recorded reads: each value that comes is held against its receipt, by the same rules as credentials. */
import { account } from '../account.ts'
import { ask } from '../ask.ts'
import { differ, same } from '../compare-entry.ts'
import { PurserError } from '../errors.ts'
import { fields } from '../fields.ts'
import type { Held } from '../held.ts'
import type { Credential } from '../jwt/credential.ts'
import { readReceipt } from '../reply.ts'
import type { ServerView } from '../server-view.ts'
import type { Settings } from '../settings.ts'
import type { Transport } from '../transport.ts'
import type { InTurn } from '../turn.ts'
import { isObject } from '../verify/canonical.ts'
import { secretsOf, wordsFor } from './compare.ts'
import { type SecretOption, type SecretReply, bytesFor, faultIn, readSecrets } from './secret.ts'

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
    await account(parts, view, receipt, signal, (entry) => {
      const actor = isObject(entry.actor) ? entry.actor : {}
      const issued = isObject(entry.issued) ? entry.issued : {}
      same('action', entry.action, 'secret.read')
      same('outcome', entry.outcome, 'granted')
      same('request id', entry.requestId, answer.headers['purser-request-id'])
      same('SPIFFE ID', actor.spiffeId, spiffeId)
      for (const kind of Object.keys(issued)) if (kind !== 'secrets') differ(kind, 'some', undefined)
      same('secrets', secretsOf(issued.secrets), wordsFor(secrets))
      if (typeof actor.session === 'string') holder = actor.session
    })
    return { secrets, session: holder }
  } finally {
    transport.rest()
  }
}
