/** Parses a request for credentials, before anything is decided. */
import { type KeyObject, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { checkDatabases } from '../credentials/role.ts'
import { checkSecretOptions } from '../credentials/secret.ts'
import { PurserError } from '../errors.ts'
import type { Fields } from '../json/fields.ts'
import type { SecretOption } from '../types/secrets.ts'
import { isObject } from '../verify/canonical.ts'
import { type CsrKey, readCsr } from './read-csr.ts'
import { invalid } from './refusal.ts'
import { spkiOf } from './x509.ts'

export type CredentialsRequest = ReturnType<typeof readCredentialsRequest>

function object(value: unknown, pointer: string): Fields {
  if (!isObject(value)) throw invalid(pointer, 'it must be an object')
  return value
}
const optional = (value: unknown, pointer: string): Fields | undefined =>
  value === undefined ? undefined : object(value, pointer)

function texts(value: unknown, pointer: string): string[] {
  if (Array.isArray(value) && value.every((item): item is string => typeof item === 'string')) return value
  throw invalid(pointer, 'it must be a list of texts')
}

function lifetime({ lifetimeSeconds: value }: Fields, pointer: string): { lifetimeSeconds?: number } {
  if (value === undefined) return {}
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return { lifetimeSeconds: value }
  throw invalid(`${pointer}/lifetimeSeconds`, 'it must be a whole number of seconds')
}

/** Runs a check of the client. @throws Refusal `invalid_request` where it fails */
function checked<T>(pointer: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof PurserError) throw invalid(pointer, error.message)
    throw error
  }
}

/** @throws Refusal `invalid_request` */
export const readSecretOptions = (value: unknown): SecretOption[] =>
  checked('/secrets', () => checkSecretOptions(value))

/** @throws Refusal `invalid_request`, `bad_csr` */
export function readCredentialsRequest(body: Fields) {
  const { workload, jwts = [], secrets = [], databases = [] } = body
  const proof = object(body.proof, '/proof')
  if (workload !== undefined && typeof workload !== 'string') throw invalid('/workload', 'it must be text')
  if (!Array.isArray(jwts)) throw invalid('/jwts', 'it must be a list')
  const x509 = optional(body.x509, '/x509')
  const accessToken = optional(body.accessToken, '/accessToken')
  const sinceSize = optional(body.receipt, '/receipt')?.sinceSize
  return {
    proof,
    workload,
    x509: x509 && readX509(x509),
    jwts: jwts.map((item: unknown, n) => {
      const jwt = object(item, `/jwts/${n}`)
      return { audience: texts(jwt.audience, `/jwts/${n}/audience`), ...lifetime(jwt, `/jwts/${n}`) }
    }),
    accessToken: accessToken && lifetime(accessToken, '/accessToken'),
    secrets: readSecretOptions(secrets),
    databases: checked('/databases', () => checkDatabases(databases)),
    sinceSize: typeof sinceSize === 'number' ? sinceSize : undefined,
  }
}

function readX509(x509: Fields) {
  const { csr, generateKey, dnsNames } = x509
  return {
    ...(typeof csr === 'string' ? { subject: readCsr(csr) } : newSubject(generateKey)),
    ...(dnsNames !== undefined && { dnsNames: texts(dnsNames, '/x509/dnsNames') }),
    ...lifetime(x509, '/x509'),
  }
}

function newSubject(kind: unknown): { subject: CsrKey; privateKey?: KeyObject } {
  if (kind !== 'EC-P256' && kind !== 'RSA-2048') throw invalid('/x509', 'it has a csr, or generateKey')
  const { privateKey } =
    kind === 'EC-P256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = createPublicKey(privateKey)
  return { subject: { spki: spkiOf(key), key }, privateKey }
}
