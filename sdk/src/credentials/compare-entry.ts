/** Compares the log's entry with the received credentials: it must name the same ones, and no others. */
import { type X509Certificate, hash } from 'node:crypto'
import { fingerprintOf } from '../certificates/certificates.ts'
import { PurserError } from '../errors.ts'
import type { CredentialsReply } from './reply.ts'
import type { RoleReply } from './role.ts'
import type { SecretReply } from './secret.ts'
import { isObject } from '../verify/canonical.ts'

type Received = { reply: CredentialsReply; leaf: X509Certificate | undefined; requestId: string | undefined }

const members = (value: unknown): Record<string, unknown> => (isObject(value) ? value : {})
const items = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const sameTime = (logTime: unknown, received: Date): boolean =>
  typeof logTime === 'string' && new Date(logTime).getTime() === received.getTime()

/** @throws PurserError `receipt_mismatch`, naming the first difference and both sides of it */
export function compareEntry(entry: Record<string, unknown>, received: Received): void {
  const { reply, leaf, requestId } = received
  const actor = members(entry.actor)
  const issued = members(entry.issued)
  same('action', entry.action, 'credentials.issue')
  same('outcome', entry.outcome, 'granted')
  same('request id', entry.requestId, requestId)
  same('SPIFFE ID', actor.spiffeId, reply.spiffeId)
  same('session', actor.session, reply.session.id)
  same('workload entry', actor.workloadId, reply.workload.id)
  same('revision of the workload entry', actor.revision, reply.workload.revision)
  for (const kind of Object.keys(issued)) {
    if (!['x509', 'jwts', 'accessToken', 'secrets', 'leases'].includes(kind)) differ(kind, 'some', undefined)
  }
  compareX509(issued.x509, reply, leaf)
  compareJwts(items(issued.jwts), reply)
  compareSecrets(issued.secrets, reply.secrets)
  compareLeases(issued.leases, reply.databases)
  const token = members(issued.accessToken)
  same('access token', token.id, reply.accessToken?.id)
  if (reply.accessToken && !sameTime(token.expiresAt, reply.accessToken.expiresAt)) {
    differ('end of the access token', token.expiresAt, reply.accessToken.expiresAt)
  }
}

function compareX509(logged: unknown, { x509 }: CredentialsReply, leaf: X509Certificate | undefined): void {
  if (!leaf || !x509) return same('certificate', logged === undefined ? undefined : 'one', undefined)
  const certificate = members(logged)
  // Compared as hex: Node pads each byte.
  same('serial number of the certificate', hexOf(certificate.serialNumber), hexOf(leaf.serialNumber))
  same('serial number in the answer', hexOf(certificate.serialNumber), hexOf(x509.serialNumber))
  same('SHA-256 of the certificate', certificate.sha256, fingerprintOf(leaf))
  const spki = leaf.publicKey.export({ type: 'spki', format: 'der' })
  same('SHA-256 of the public key', certificate.publicKeySha256, hash('sha256', spki, 'hex'))
  if (!sameTime(certificate.notAfter, x509.notAfter))
    differ('end of the certificate', certificate.notAfter, x509.notAfter)
}

function compareJwts(logged: unknown[], { jwts }: CredentialsReply): void {
  same('number of JWTs', logged.length, jwts.length)
  const entries = logged.map(members)
  for (const jwt of jwts) {
    const logEntry = entries.find(({ jti }) => jti === jwt.jti)
    if (!logEntry) return differ('id of a JWT (jti)', entries.map(({ jti }) => jti).join(', '), jwt.jti)
    same('audience of a JWT', items(logEntry.audience).join(' '), jwt.audience.join(' '))
    if (!sameTime(logEntry.expiresAt, jwt.expiresAt)) differ('end of a JWT', logEntry.expiresAt, jwt.expiresAt)
  }
  // Two JWTs with one jti would both match the same record.
  same('number of different JWTs', new Set(jwts.map(({ jti }) => jti)).size, jwts.length)
}

/** Paths and versions only: the log holds no value. */
export function compareSecrets(logged: unknown, secrets: readonly SecretReply[]): void {
  const words = ({ path, version }: Record<string, unknown>): string => `${String(path)} ${String(version)}`
  same('secrets', wordsOfList(logged, words), wordsOfList(emptyAsAbsent(secrets), words))
}

function compareLeases(logged: unknown, roles: readonly RoleReply[]): void {
  const words = (id: unknown, database: unknown, username: unknown, end: unknown): string =>
    `${String(id)} as ${String(username)} in ${String(database)} until ${endOf(end)}`
  same(
    'leases',
    wordsOfList(logged, (lease) => words(lease.id, lease.database, lease.username, lease.expiresAt)),
    wordsOfList(emptyAsAbsent(roles), (role) => words(role.lease, role.name, role.username, role.expiresAt)),
  )
}

const emptyAsAbsent = <T>(list: readonly T[]): readonly T[] | undefined => (list.length === 0 ? undefined : list)

function wordsOfList(list: unknown, words: (item: Record<string, unknown>) => string): string | undefined {
  if (list === undefined) return undefined
  return Array.isArray(list) ? list.map((item: unknown) => (isObject(item) ? words(item) : '?')).join(', ') : 'no list'
}

/** The same moment becomes the same text, whatever its notation. */
function endOf(end: unknown): string {
  const time = end instanceof Date ? end : new Date(typeof end === 'string' ? end : Number.NaN)
  return Number.isNaN(time.getTime()) ? '?' : time.toISOString()
}

const hexOf = (value: unknown): unknown =>
  typeof value === 'string' ? value.toLowerCase().replace(/^0+(?=.)/, '') : value

export function same(what: string, logged: unknown, received: unknown): void {
  if (logged !== received) differ(what, logged, received)
}

export function differ(what: string, logged: unknown, received: unknown): never {
  throw new PurserError(
    'receipt_mismatch',
    `the log's entry differs from the received credential: ${what} is ${textOf(logged)} in the log and ${textOf(received)} here. ` +
      'The credential was discarded; show the receipt and this message to the auditor of the log',
  )
}

const textOf = (value: unknown): string => {
  if (value === undefined) return 'absent'
  const words = value instanceof Date ? value.toISOString() : typeof value === 'string' ? value : JSON.stringify(value)
  return words.length > 200 ? `${words.slice(0, 200)}…` : words
}
