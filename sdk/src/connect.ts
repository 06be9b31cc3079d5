import { randomInt } from 'node:crypto'
import { createTransport } from './connection/transport.ts'
import { createServerTrust } from './connection/trust.ts'
import { type Credentials, createFetchCredentials } from './credentials/fetch-credentials.ts'
import { createServerView } from './credentials/server-view.ts'
import { type Settings, readSettings } from './credentials/settings.ts'
import { createDatabases } from './databases/databases.ts'
import { PurserError, isConclusive } from './errors.ts'
import { createEmitter } from './events/emitter.ts'
import { warnBy } from './events/warn.ts'
import { createAuthentication } from './identity/authentication.ts'
import { createIdentity } from './identity/identity.ts'
import { readSpiffeId } from './identity/spiffe-id.ts'
import { createRevocation } from './jwt/revocation.ts'
import { createVerifyJwt } from './jwt/verify-jwt.ts'
import { createPurser } from './purser.ts'
import { createHeldCredentials } from './renewal/held-credentials.ts'
import { createNextCredentials } from './renewal/next-credentials.ts'
import { createRenewal } from './renewal/renewal.ts'
import { createRevokedCertificates } from './revocation/revoked.ts'
import { createSecrets } from './secrets/secrets.ts'
import { type StoredIdentity, openIdentityFile } from './state/identity-file.ts'
import { createClosing } from './time/closing.ts'
import { keepAlive } from './time/keep-alive.ts'
import { elapsedMs as elapsed } from './time/lifetime.ts'
import { createTurn } from './time/turn.ts'
import { createTls } from './tls/tls.ts'
import type { ConnectOptions } from './types/options.ts'
import type { Purser } from './types/purser.ts'

/**
 * Attests this workload and gets its credentials in one request, as options and environment say: finds and verifies the
 * server, finds the orchestrator's proof and checks its audience, sends it, and verifies the answer and its receipt. With
 * a state directory, it presents the certificate of an earlier start instead. It then renews all credentials until
 * `close()`.
 *
 * @throws PurserError with a `code` for the program, and a `message` that says what to do
 */
export const connect = async (options: ConnectOptions = {}): Promise<Purser> =>
  (await keepAlive(() => connectBy(createTransport, options))).client

/**
 * @param makeTransport how to reach the server; `@purser/sdk/testing` answers in this process
 * @returns the client, and a function that makes it read bundle and CRLs now
 */
export async function connectBy(
  makeTransport: typeof createTransport,
  options: ConnectOptions,
): Promise<{ client: Purser; reread: () => Promise<unknown> }> {
  const warn = warnBy(options.onWarning)
  const clock = (): Date => new Date()
  const now = (): number => Date.now()
  const random = (): number => randomInt(2 ** 32) / 2 ** 32
  const settings = await readSettings(options)
  const { address, trust, timeoutMs, stateDir, selection, renewAt, chosen } = settings
  const controller = createClosing()
  const closing = controller.signal

  const serverTrust = createServerTrust(trust, address, timeoutMs)
  const transport = makeTransport({ address, anchors: serverTrust.anchors, timeoutMs })
  const file = stateDir === undefined || !selection.x509 ? undefined : await openIdentityFile(stateDir, warn)
  const end = (): void => {
    controller.abort(new PurserError('closed', 'this Purser client was closed'))
    transport.close()
    file?.release()
  }
  try {
    const subject = file && (await settings.proof.subject())
    const fileContent = await file?.read(clock())
    const stored = fileContent && isFor(fileContent, settings, subject) ? fileContent : undefined
    // The server's root may be newer than the configured one.
    if (stored) serverTrust.follow(stored.trustBundle)
    const server = createServerView({ settings, transport, warn })
    const inTurn = createTurn()
    const fetchCredentials = createFetchCredentials({ settings, transport, server, inTurn, warn, now: clock, elapsed })
    const identity = createIdentity({ file, stored, origin: address.origin, subject, presentable: address.tls })
    const { live, keep, keepPending } = identity
    const nextCredentials = createNextCredentials({
      fetchCredentials,
      live,
      now: clock,
      elapsed,
      warn,
      ...(file && { keepPending }),
      ...(stored?.pending && { pending: stored.pending }),
    })

    const { first, away } = await nextCredentials(selection, options.signal ?? closing).then(
      ({ credentials }) => ({ first: credentials, away: undefined }),
      (error: unknown) => {
        if (!stored || !(error instanceof PurserError) || isConclusive(error)) throw error
        warn(`the stored identity in ${stateDir} is used until it can be renewed. ${error.message}`)
        return { first: credentialsOf(stored), away: error }
      },
    )
    // Without an answer, the file stays, with its note of an interrupted renewal.
    if (!away) await keep(first)
    const held = createHeldCredentials({ selection, renewAt, now, elapsed, random }, first)
    const emitter = createEmitter(warn)
    const { follow } = serverTrust
    const renewal = createRenewal({
      held,
      nextCredentials,
      transport,
      emitter,
      keep,
      follow,
      away,
      closing,
      warn,
      elapsed,
      random,
    })
    const { bundles } = renewal
    const authentication = createAuthentication(held, identity, now)
    const revocation = createRevocation({ transport, authentication, closing, warn, now })
    const { trustDomain = '' } = readSpiffeId(first.spiffeId) ?? {}
    const verifyJwt = createVerifyJwt({ bundles, revocation, trustDomain, closing, warn, now })
    const issuer = async (signal: AbortSignal): Promise<string> => (await server(signal)).info.issuer
    const { roots } = renewal
    const revoked = createRevokedCertificates({ transport, issuer, roots, warn, closing, now, random })
    const source = identity.source({ held, renewal, revoked, closing })
    const tls = createTls({ source, warn, now })
    const requests = { settings, transport, server, authentication, held, warn, inTurn, closing, random, elapsed }
    const secrets = createSecrets({
      ...requests,
      first: first.secrets ?? [],
      options: selection.secrets ?? [],
      bundles,
      onRenewed: (listener) => emitter.on('renewed', listener),
    })
    const databases = createDatabases({
      ...requests,
      now,
      first,
      names: selection.databases ?? [],
      obtain: renewal.obtain,
      onAnswer(listener) {
        emitter.on('renewed', listener)
        emitter.on('reconnected', listener)
      },
    })
    const close = (): void => {
      renewal.close()
      end()
    }
    const parts = { held, renewal, source, tls, verifyJwt, secrets, databases, emitter, chosen, closing, close }
    const client = createPurser(parts)
    return { client, reread: () => Promise.allSettled([bundles.reread(), revoked.reread()]) }
  } catch (error) {
    end()
    throw error
  }
}

/** Whether a stored identity is of this server, of the proof's subject, and of the requested workload entry. */
const isFor = (
  stored: StoredIdentity,
  { address, workload }: Pick<Settings, 'address' | 'workload'>,
  subject: string | undefined,
): boolean =>
  stored.origin === address.origin &&
  (workload === undefined || workload === stored.workload.name) &&
  (subject === undefined || stored.subject === undefined || subject === stored.subject)

function credentialsOf(stored: StoredIdentity): Credentials {
  const { spiffeId, workload, session, certificateChain, trustBundle, privateKey } = stored
  const { serialNumber, notAfter, renewAfter } = stored
  const x509 = { certificateChain, trustBundle, privateKey, serialNumber, notAfter, renewAfter }
  return { spiffeId, workload, session, x509, jwts: [] }
}
