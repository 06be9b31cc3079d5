import { randomInt } from 'node:crypto'
import { createClosing } from './time/closing.ts'
import { createDatabases } from './databases/databases.ts'
import { PurserError, isConclusive } from './errors.ts'
import { createEmitter } from './events/emitter.ts'
import { type Credentials, createFetchCredentials } from './credentials/fetch-credentials.ts'
import { createHeld } from './renewal/held-credentials.ts'
import { holding } from './time/keep-alive.ts'
import { createIdentity } from './identity/identity.ts'
import { createCredential } from './identity/authentication.ts'
import { createRevocation } from './jwt/revocation.ts'
import { createVerifyJwt } from './jwt/verify-jwt.ts'
import { createKeeper } from './renewal/renewal.ts'
import { type KeptIdentity, openIdentityFile } from './state/identity-file.ts'
import type { ConnectOptions } from './types/options.ts'
import { createPurser } from './purser.ts'
import { createRenew } from './renewal/next-credentials.ts'
import { createRevoked } from './revocation/revoked.ts'
import { createSecrets } from './secrets/secrets.ts'
import { createServerView } from './credentials/server-view.ts'
import { readSettings } from './credentials/settings.ts'
import { readSpiffeId } from './identity/spiffe-id.ts'
import { createTls } from './tls/tls.ts'
import { createTransport } from './connection/transport.ts'
import { createServerTrust } from './connection/trust.ts'
import { createTurn } from './time/turn.ts'
import { warnBy } from './events/warn.ts'
import { elapsedMs as elapsed } from './time/lifetime.ts'
import type { Purser } from './types/purser.ts'

/**
 * Attests this workload and gets its credentials, in one request, from options and environment: finds the server and
 * verifies it, finds the orchestrator's proof and looks whom it is addressed to, sends it, and verifies what came back
 * and its receipt. With a state directory, a certificate from before a restart is presented instead. What is held is
 * renewed from then on, until `close()`.
 *
 * @throws PurserError whose `code` tells what went wrong, and whose `message` what to do
 */
export const connect = async (options: ConnectOptions = {}): Promise<Purser> =>
  (await holding(() => connectBy(createTransport, options))).client

/**
 * @param makeTransport how the server is reached: `@purser/sdk/testing` answers in this process
 * @returns the client, and how to have it read bundle and CRLs now
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
  const { address, trust, timeoutMs, stateDir, wanted, renewAt, chosen } = settings
  const controller = createClosing()
  const closing = controller.signal

  const serverTrust = createServerTrust(trust, address, timeoutMs)
  const transport = makeTransport({ address, anchors: serverTrust.anchors, timeoutMs })
  const file = stateDir === undefined || !wanted.x509 ? undefined : await openIdentityFile(stateDir, warn)
  const end = (): void => {
    controller.abort(new PurserError('closed', 'this Purser client was closed'))
    transport.close()
    file?.release()
  }
  try {
    const subject = file && (await settings.proof.subject())
    const kept = isOurs(await file?.read(clock()), settings, subject)
    // The server may be under a root by now that came after the one that is pinned.
    if (kept) serverTrust.follow(kept.trustBundle)
    const server = createServerView({ settings, transport, warn })
    const inTurn = createTurn()
    const fetchCredentials = createFetchCredentials({ settings, transport, server, inTurn, warn, now: clock, elapsed })
    const identity = createIdentity({ file, kept, origin: address.origin, subject, presentable: address.tls })
    const renew = createRenew({
      fetchCredentials,
      live: identity.live,
      now: clock,
      elapsed,
      warn,
      ...(file && { keepPending: identity.keepPending }),
      ...(kept?.pending && { pending: kept.pending }),
    })

    const { first, away } = await renew(wanted, options.signal ?? closing).then(
      ({ given }) => ({ first: given, away: undefined }),
      (error: unknown) => {
        if (!kept || !(error instanceof PurserError) || isConclusive(error)) throw error
        warn(`the identity that was kept in ${stateDir} is used until it can be renewed. ${error.message}`)
        return { first: credentialsOf(kept), away: error }
      },
    )
    // What was kept stays as it is, with what is known of a renewal that was cut off.
    if (!away) await identity.keep(first)
    const held = createHeld({ wanted, renewAt, now, elapsed, random }, first)
    const emitter = createEmitter(warn)
    const { keep } = identity
    const { follow } = serverTrust
    const keeper = createKeeper({ held, renew, transport, emitter, keep, follow, away, closing, warn, elapsed, random })
    const credential = createCredential(held, identity, now)
    const revocation = createRevocation({ transport, credential, closing, warn, now })
    const { trustDomain = '' } = readSpiffeId(first.spiffeId) ?? {}
    const verifyJwt = createVerifyJwt({ bundles: keeper.bundles, revocation, trustDomain, closing, warn, now })
    const issuer = async (signal: AbortSignal): Promise<string> => (await server(signal)).info.issuer
    const revoked = createRevoked({ transport, issuer, roots: keeper.roots, warn, closing, now, random })
    const source = identity.source({ held, keeper, revoked, closing })
    const tls = createTls({ source, warn, now })
    const asking = { settings, transport, server, credential, held, warn, inTurn, closing, random, elapsed }
    const secrets = createSecrets({
      ...asking,
      first: first.secrets ?? [],
      wanted: wanted.secrets ?? [],
      bundles: keeper.bundles,
      onRenewed: (hear) => emitter.on('renewed', hear),
    })
    const databases = createDatabases({
      ...asking,
      now,
      first,
      wanted: wanted.databases ?? [],
      obtain: keeper.obtain,
      onAnswer(hear) {
        emitter.on('renewed', hear)
        emitter.on('reconnected', hear)
      },
    })
    const close = (): void => {
      keeper.close()
      end()
    }
    const parts = { held, keeper, source, tls, verifyJwt, secrets, databases, emitter, chosen, closing, close }
    const client = createPurser(parts)
    return { client, reread: () => Promise.allSettled([keeper.bundles.reread(), revoked.reread()]) }
  } catch (error) {
    end()
    throw error
  }
}

/** Of this server, of whom the proof speaks of, and of the entry that is asked for; else it is left to the proof. */
const isOurs = (
  kept: KeptIdentity | undefined,
  { address, workload }: { address: { origin: string }; workload: string | undefined },
  subject: string | undefined,
): KeptIdentity | undefined =>
  kept?.origin === address.origin &&
  (workload === undefined || workload === kept.workload.name) &&
  (subject === undefined || kept.subject === undefined || subject === kept.subject)
    ? kept
    : undefined

function credentialsOf(kept: KeptIdentity): Credentials {
  const { spiffeId, workload, session, certificateChain, trustBundle, privateKey } = kept
  const { serialNumber, notAfter, renewAfter } = kept
  const x509 = { certificateChain, trustBundle, privateKey, serialNumber, notAfter, renewAfter }
  return { spiffeId, workload, session, x509, jwts: [] }
}
