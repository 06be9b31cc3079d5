/** A request for credentials, looked at before anything is decided. */
import { type KeyObject, createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { Fields } from '../json/fields.ts'
import { isObject } from '../verify/canonical.ts'
import { type CsrKey, readCsr } from './read-csr.ts'
import { invalid } from './refusal.ts'
import { readDatabases, readWanted } from './wanted.ts'
import { spkiOf } from './x509.ts'
import type { SecretOption } from '../types/secrets.ts'

export type Asked = {
  proof: Fields
  workload: string | undefined
  x509: { subject: CsrKey; privateKey?: KeyObject; dnsNames?: string[]; lifetimeSeconds?: number } | undefined
  jwts: { audience: string[]; lifetimeSeconds?: number }[]
  accessToken: { lifetimeSeconds?: number } | undefined
  secrets: SecretOption[]
  databases: string[]
  sinceSize: number | undefined
}

const texts = (value: unknown, pointer: string): string[] => {
  if (!Array.isArray(value)) throw invalid(pointer, 'it must be a list of texts')
  return value.map((one) => (typeof one === 'string' ? one : raise(invalid(pointer, 'it must be a list of texts'))))
}
const lifetime = ({ lifetimeSeconds: value }: Fields, pointer: string): { lifetimeSeconds?: number } => {
  if (value === undefined) return {}
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return { lifetimeSeconds: value }
  throw invalid(`${pointer}/lifetimeSeconds`, 'it must be a whole number of seconds')
}
const optional = (value: unknown, pointer: string): Fields | undefined =>
  value === undefined || isObject(value) ? value : raise(invalid(pointer, 'it must be an object'))

function raise(error: Error): never {
  throw error
}

/** @throws Refusal */
export function readAsked(body: Fields): Asked {
  const { proof, workload, jwts = [], secrets = [], databases = [] } = body
  if (!isObject(proof)) throw invalid('/proof', 'it must be an object')
  if (workload !== undefined && typeof workload !== 'string') throw invalid('/workload', 'it must be text')
  if (!Array.isArray(jwts)) throw invalid('/jwts', 'it must be a list')
  const x509 = optional(body.x509, '/x509')
  const accessToken = optional(body.accessToken, '/accessToken')
  const sinceSize = optional(body.receipt, '/receipt')?.sinceSize
  return {
    proof,
    workload,
    x509: x509 && readX509(x509),
    jwts: jwts.map((one: unknown, n) => {
      const jwt = optional(one, `/jwts/${n}`) ?? {}
      return { audience: texts(jwt.audience, `/jwts/${n}/audience`), ...lifetime(jwt, `/jwts/${n}`) }
    }),
    accessToken: accessToken && lifetime(accessToken, '/accessToken'),
    secrets: readWanted(secrets),
    databases: readDatabases(databases),
    sinceSize: typeof sinceSize === 'number' ? sinceSize : undefined,
  }
}

/** Whether it asks for what is of use without the key that is certified. */
export const asksUnbound = ({ jwts, accessToken, secrets, databases }: Asked): boolean =>
  accessToken !== undefined || jwts.length + secrets.length + databases.length > 0

/** The same request for the certificate alone. */
export const boundOnly = (asked: Asked): Asked => ({
  ...asked,
  jwts: [],
  accessToken: undefined,
  secrets: [],
  databases: [],
})

function readX509(x509: Fields): NonNullable<Asked['x509']> {
  const { csr, generateKey, dnsNames } = x509
  return {
    ...(typeof csr === 'string' ? { subject: readCsr(csr) } : newSubject(generateKey)),
    ...(dnsNames !== undefined && { dnsNames: texts(dnsNames, '/x509/dnsNames') }),
    ...lifetime(x509, '/x509'),
  }
}

function newSubject(kind: unknown): { subject: CsrKey; privateKey: KeyObject } {
  if (kind !== 'EC-P256' && kind !== 'RSA-2048') throw invalid('/x509', 'it has a csr, or generateKey')
  const { privateKey } =
    kind === 'EC-P256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = createPublicKey(privateKey)
  return { subject: { spki: spkiOf(key), key }, privateKey }
}
