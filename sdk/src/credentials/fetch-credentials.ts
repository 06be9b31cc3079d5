/** One request for credentials, from the proof to what was verified. The only place that a proof is sent from. */
import { type KeyObject, createPrivateKey, generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { checkReceipt } from '../log/check-receipt.ts'
import { ask } from '../connection/ask.ts'
import { checkReply } from './check-reply.ts'
import { compareEntry } from './compare-entry.ts'
import { createCsr } from '../certificates/csr.ts'
import type { RoleReply } from './role.ts'
import { withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { serverTime } from '../time/lifetime.ts'
import { type Proof, admitProof } from '../proof/admit.ts'
import { type AccessTokenReply, type CredentialsReply, type JwtReply, type X509Reply, readReply } from './reply.ts'
import { type SecretReply, bytesFor } from './secret.ts'
import type { Settings, Wanted } from './settings.ts'
import type { ServerView } from './server-view.ts'
import type { Transport } from '../connection/transport.ts'
import type { InTurn } from '../time/turn.ts'
import type { Receipt } from '../verify/receipt.ts'
import type { Presented } from '../connection/http.ts'

/** What one request gave, verified. */
export type Credentials = {
  spiffeId: string
  workload: CredentialsReply['workload']
  session: CredentialsReply['session']
  x509?: X509Reply & { privateKey: string }
  jwts: JwtReply[]
  accessToken?: AccessTokenReply
  /** Of the first request alone: renewal asks for none. */
  secrets?: SecretReply[]
  /** Where it asked for any. */
  databases?: RoleReply[]
  /** The server's clock as this was received; of what was kept over a restart that is not known. */
  serverTime?: number
  /** Absent with `receipts: 'off'`, and where one that doesn't verify was let pass by `warn`. */
  receipt?: Receipt
}

type CredentialsRequest = {
  wanted: Wanted
  /** The live certificate that proves who asks; the orchestrator's token does unless given. */
  as?: Presented
  /** The key to be certified, unless the server makes one: the same again when a request is repeated. */
  key?: KeyObject
  /** Called as the request is written: from then on the server may have issued. Nothing is sent when it throws. */
  onSent?: () => void
  /** Called with the status of each answer to it. */
  onAnswer?: (status: number) => void
}

export type FetchCredentials = (request: CredentialsRequest, signal: AbortSignal) => Promise<Credentials>

type Parts = {
  settings: Pick<Settings, 'timeoutMs' | 'proof' | 'attestor' | 'workload' | 'jwtLifetimeSeconds' | 'receipts'>
  transport: Transport
  server: (signal: AbortSignal) => Promise<ServerView>
  inTurn: InTurn
  warn: (warning: string) => void
  now: () => Date
  elapsed: () => number
}

/** The largest answer, without secrets. */
const maxBytes = 1024 * 1024

const makePair = promisify(generateKeyPair)

/** EC P-256, as Purser's own keys. */
export const makeKey = async (): Promise<KeyObject> => (await makePair('ec', { namedCurve: 'P-256' })).privateKey

export const createFetchCredentials =
  (parts: Parts): FetchCredentials =>
  (request, signal) =>
    parts.inTurn(async () => {
      const { given, repeated } = await fetchOnce(parts, request, signal)
      return repeated ? fetchRest(parts, request, given, signal) : given
    })

type Fetched = { given: Credentials; repeated: boolean }

/** After a proof that was used before: the certificate shows whose key it is, and gets what is not bound to that key. */
async function fetchRest(
  parts: Parts,
  { wanted: { x509: _, ...rest } }: CredentialsRequest,
  { x509 }: Credentials,
  signal: AbortSignal,
): Promise<Credentials> {
  if (!x509) throw new PurserError('bad_reply', 'the server says that the proof was used before, and issued nothing')
  const as = { key: x509.privateKey, cert: x509.certificateChain }
  const { given } = await fetchOnce(parts, { wanted: rest, as }, signal)
  return { ...given, x509 }
}

async function fetchOnce(parts: Parts, request: CredentialsRequest, signal: AbortSignal): Promise<Fetched> {
  const { settings, transport } = parts
  const { wanted, as, onSent, onAnswer } = request
  const { secrets = [], databases = [] } = wanted
  try {
    const view = await parts.server(signal)
    if (databases.length > 0 && !view.info.features.includes('databases'))
      throw new PurserError('not_offered', `the server (version ${view.info.version}) has no databases: update it`)
    const proof = as ? ({ kind: 'x509' } as const) : await proofFor(settings, view, signal)
    const own = wanted.x509 && !wanted.x509.generateKey ? (request.key ?? (await makeKey())) : undefined
    const since = view.witness?.since()
    const body = {
      ...(!as && settings.attestor !== undefined && { attestor: settings.attestor }),
      proof,
      // Renewal stays on its session's entry.
      ...(!as && settings.workload !== undefined && { workload: settings.workload }),
      ...(wanted.x509 && { x509: { ...wanted.x509, ...(own && { csr: createCsr(own) }) } }),
      ...(wanted.jwts.length > 0 && { jwts: wanted.jwts.map((jwt) => jwtRequest(jwt, settings.jwtLifetimeSeconds)) }),
      ...(wanted.accessToken && { accessToken: wanted.accessToken }),
      ...(secrets.length > 0 && { secrets }),
      ...(databases.length > 0 && { databases }),
      ...(since && { receipt: since }),
    }
    const sentAt = parts.elapsed()
    const { json, answer } = await ask(
      transport,
      {
        method: 'POST',
        path: '/api/v1/credentials',
        body: JSON.stringify(body),
        maxBytes: maxBytes + bytesFor(secrets.length),
        ...(as && { as }),
        ...(onSent && { onSent }),
        ...(onAnswer && { onAnswer }),
      },
      'credentials',
      signal,
    )
    const reply = readReply(json)
    const key = own ?? madeThere(reply)
    const { trustDomain } = view.info
    const repeated = reply.repeated && !as
    const due = repeated ? { ...(wanted.x509 && { x509: wanted.x509 }), jwts: [] } : wanted
    const leaf = checkReply(reply, { wanted: due, trustDomain, key, now: parts.now(), serverTime: answer.headers.date })
    const requestId = answer.headers['purser-request-id']
    const receipt = await checkReceipt(parts, view, reply.receipt, signal, (entry) =>
      compareEntry(entry, { reply, leaf, requestId: typeof requestId === 'string' ? requestId : undefined }),
    )
    const time = serverTime(answer.headers.date, parts.now().getTime(), parts.elapsed() - sentAt)
    if (reply.databases.some(({ expiresAt }) => expiresAt.getTime() <= time))
      throw new PurserError('bad_reply', 'what the server issued was thrown away: a role in a database is over already')
    return { given: { ...credentialsOf(reply, key, receipt), serverTime: time }, repeated }
  } finally {
    transport.rest()
  }
}

async function proofFor(
  { proof, timeoutMs }: Parts['settings'],
  view: ServerView,
  signal: AbortSignal,
): Promise<Proof> {
  const { audiences } = view
  const token = await withDeadline(timeoutMs, [signal], 'getting the proof', (within) =>
    proof.read({ audiences, signal: within }),
  )
  return admitProof(token, audiences, proof.chosen)
}

const jwtRequest = (audience: string, lifetimeSeconds: number | undefined): Record<string, unknown> => ({
  audience: [audience],
  ...(lifetimeSeconds !== undefined && { lifetimeSeconds }),
})

function madeThere({ x509 }: CredentialsReply): KeyObject | undefined {
  if (x509?.privateKey === undefined) return undefined
  try {
    return createPrivateKey(x509.privateKey)
  } catch {
    throw new PurserError('bad_reply', "the private key in the server's answer is not readable")
  }
}

function credentialsOf(reply: CredentialsReply, key: KeyObject | undefined, receipt: Receipt | undefined): Credentials {
  const { spiffeId, workload, session, x509, jwts, accessToken, secrets, databases } = reply
  return {
    spiffeId,
    workload,
    session,
    ...(x509 && key && { x509: { ...x509, privateKey: String(key.export({ type: 'pkcs8', format: 'pem' })) } }),
    jwts,
    ...(accessToken && { accessToken }),
    ...(secrets.length > 0 && { secrets }),
    ...(databases.length > 0 && { databases }),
    ...(receipt && { receipt }),
  }
}
