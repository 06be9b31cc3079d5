/** One request for credentials, from the proof to the verified answer. No other file sends a proof. */
import { type KeyObject, createPrivateKey, generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { checkReceipt } from '../log/check-receipt.ts'
import { requestJson } from '../connection/request-json.ts'
import { checkReply } from './check-reply.ts'
import { compareEntry } from './compare-entry.ts'
import { createCsr } from '../certificates/csr.ts'
import type { Holder } from '../json/fields.ts'
import type { RoleReply } from './role.ts'
import { withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { serverTime } from '../time/lifetime.ts'
import { type Proof, admitProof } from '../proof/admit.ts'
import { type AccessTokenReply, type CredentialsReply, type JwtReply, type X509Reply, readReply } from './reply.ts'
import { type SecretReply, bytesFor } from './secret.ts'
import type { Settings, Selection } from './settings.ts'
import type { ServerView } from './server-view.ts'
import type { Transport } from '../connection/transport.ts'
import type { InTurn } from '../time/turn.ts'
import type { Receipt } from '../verify/receipt.ts'
import type { Presented } from '../connection/http.ts'

/** The verified answer to one request. */
export type Credentials = Holder & {
  x509?: X509Reply & { privateKey: string }
  jwts: JwtReply[]
  accessToken?: AccessTokenReply
  /** Only after the first request: renewal requests none. */
  secrets?: SecretReply[]
  /** If the request included any. */
  databases?: RoleReply[]
  /** The server's clock at the receipt; undefined for a stored identity. */
  serverTime?: number
  /** Undefined with `receipts: 'off'`, and where `warn` ignored a fault. */
  receipt?: Receipt
}

type CredentialsRequest = {
  selection: Selection
  /** The live certificate that authenticates the request. Default: the orchestrator's proof. */
  as?: Presented
  /** The key to certify, unless the server makes one. A repeated request needs the same key. */
  key?: KeyObject
  /** Called as the request is written; from then on the server may have issued. If it throws, nothing is sent. */
  onSent?: () => void
  /** Receives the status of each answer. */
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

/** The maximum size of an answer without secrets. */
const maxBytes = 1024 * 1024

const generatePair = promisify(generateKeyPair)

/** EC P-256, like Purser's own keys. */
export const makeKey = async (): Promise<KeyObject> => (await generatePair('ec', { namedCurve: 'P-256' })).privateKey

export const createFetchCredentials =
  (parts: Parts): FetchCredentials =>
  (request, signal) =>
    parts.inTurn(async () => {
      const { credentials, repeated } = await fetchOnce(parts, request, signal)
      return repeated ? fetchRest(parts, request, credentials, signal) : credentials
    })

type Fetched = { credentials: Credentials; repeated: boolean }

/** After a repeated proof, the server returns only the certificate, which then authenticates a request for the rest. */
async function fetchRest(
  parts: Parts,
  { selection: { x509: _, ...rest } }: CredentialsRequest,
  { x509 }: Credentials,
  signal: AbortSignal,
): Promise<Credentials> {
  if (!x509) throw new PurserError('bad_reply', 'the server reports a repeated proof, and issued no certificate')
  const as = { key: x509.privateKey, cert: x509.certificateChain }
  const { credentials } = await fetchOnce(parts, { selection: rest, as }, signal)
  return { ...credentials, x509 }
}

async function fetchOnce(parts: Parts, request: CredentialsRequest, signal: AbortSignal): Promise<Fetched> {
  const { settings, transport } = parts
  const { selection, as, onSent, onAnswer } = request
  const { secrets = [], databases = [] } = selection
  try {
    const view = await parts.server(signal)
    if (databases.length > 0 && !view.info.features.includes('databases'))
      throw new PurserError('not_offered', `the server (version ${view.info.version}) has no databases: update it`)
    const proof = as ? ({ kind: 'x509' } as const) : await proofFor(settings, view, signal)
    const ownKey = selection.x509 && !selection.x509.generateKey ? (request.key ?? (await makeKey())) : undefined
    const since = view.witness?.since()
    const body = {
      ...(!as && settings.attestor !== undefined && { attestor: settings.attestor }),
      proof,
      // Renewal keeps the entry of its session.
      ...(!as && settings.workload !== undefined && { workload: settings.workload }),
      ...(selection.x509 && { x509: { ...selection.x509, ...(ownKey && { csr: createCsr(ownKey) }) } }),
      ...(selection.jwts.length > 0 && {
        jwts: selection.jwts.map((jwt) => jwtRequest(jwt, settings.jwtLifetimeSeconds)),
      }),
      ...(selection.accessToken && { accessToken: selection.accessToken }),
      ...(secrets.length > 0 && { secrets }),
      ...(databases.length > 0 && { databases }),
      ...(since && { receipt: since }),
    }
    const sentAt = parts.elapsed()
    const { json, answer } = await requestJson(
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
    const key = ownKey ?? serverMadeKey(reply)
    const { trustDomain } = view.info
    const repeated = reply.repeated && !as
    const expected = repeated ? { ...(selection.x509 && { x509: selection.x509 }), jwts: [] } : selection
    const leaf = checkReply(reply, {
      selection: expected,
      trustDomain,
      key,
      now: parts.now(),
      serverTime: answer.headers.date,
    })
    const requestId = answer.headers['purser-request-id']
    const receipt = await checkReceipt(parts, view, reply.receipt, signal, (entry) =>
      compareEntry(entry, { reply, leaf, requestId: typeof requestId === 'string' ? requestId : undefined }),
    )
    const time = serverTime(answer.headers.date, parts.now().getTime(), parts.elapsed() - sentAt)
    if (reply.databases.some(({ expiresAt }) => expiresAt.getTime() <= time))
      throw new PurserError('bad_reply', 'the answer was discarded: a role in a database has already expired')
    return { credentials: { ...credentialsOf(reply, key, receipt), serverTime: time }, repeated }
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

function serverMadeKey({ x509 }: CredentialsReply): KeyObject | undefined {
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
