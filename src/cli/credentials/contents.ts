/** The credentials of a workload as files. */
import type { Purser } from '@purser/sdk'
import { readCertificates } from '@purser/sdk/checks'
import type { File } from '../files.ts'

export type Selection = { x509: boolean; audiences: readonly string[]; databases: readonly string[] }

/** Names that `NAME.json` cannot have, since other files use them. */
export const reservedNames: readonly string[] = ['receipt', 'log-fork']

/**
 * The key comes before its certificate, and the receipt last: when it changes, all other files are complete.
 * @param missing called for a part that is unavailable; the others are returned, unless it throws
 */
export async function contentsOf(
  purser: Purser,
  { x509, audiences, databases }: Selection,
  missing: (error: unknown) => void,
): Promise<File[]> {
  const parts: Promise<File[]>[] = [
    ...(x509 ? [x509Files(purser)] : []),
    ...audiences.map((audience) => jwtFile(purser, audience)),
    ...databases.map((name) => databaseFile(purser, name)),
  ]
  const files: File[] = []
  for (const part of await Promise.allSettled(parts)) {
    if (part.status === 'rejected') missing(part.reason)
    else files.push(...part.value)
  }
  const { accessToken, receipt } = purser
  if (accessToken) {
    const { token, expiresAt } = accessToken
    files.push({ name: 'access-token', text: token, what: "token for Purser's API", until: expiresAt })
  }
  if (receipt) {
    const text = `${JSON.stringify(receipt, null, 2)}\n`
    files.push({ name: 'receipt.json', text, what: `proof of log entry ${receipt.epoch}/${receipt.index}, verified` })
  }
  return files
}

async function x509Files(purser: Purser): Promise<File[]> {
  const { certificateChain, privateKey, trustBundle, notAfter } = purser.x509
  return [
    { name: 'ca.crt', text: normalizeRoots(trustBundle), what: 'roots to verify peers' },
    { name: 'tls.key', text: privateKey, what: 'private key', until: notAfter },
    { name: 'tls.crt', text: certificateChain, what: 'certificate and chain', until: notAfter },
    { name: 'tls.pem', text: privateKey + certificateChain, what: 'key, certificate and chain', until: notAfter },
  ]
}

/** The same roots always give the same text. */
const normalizeRoots = (roots: string): string => readCertificates(roots)?.map(String).join('') ?? roots

async function jwtFile(purser: Purser, audience: string): Promise<File[]> {
  const text = await purser.jwt(audience)
  const name = `jwt-${encodeURIComponent(audience)}`
  return [{ name, text, what: `JWT for ${audience}`, until: new Date(Number(claimsOf(text).exp) * 1000) }]
}

async function databaseFile(purser: Purser, database: string): Promise<File[]> {
  const { name, lease, username, password, expiresAt } = await purser.databases.get(database)
  const text = `${JSON.stringify({ name, lease, username, password, expiresAt }, null, 2)}\n`
  return [{ name: `${name}.json`, text, what: `role in the database ${name}`, until: expiresAt }]
}

/** The claims of a JWT that the SDK has verified. */
export function claimsOf(jwt: string): Record<string, unknown> {
  const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
  return typeof claims === 'object' && claims !== null ? { ...claims } : {}
}
