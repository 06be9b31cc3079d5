/** Issued credentials as entries of the log name them, and read from the log: there is no other table of them. */
import type { Knex } from './database.ts'
import type { Place } from './entries.ts'
import { termKeys } from './term-keys.ts'

export type IssuedX509 = {
  serialNumber: string
  sha256: string
  publicKeySha256: string
  notAfter: string
  keyId: string
  dnsNames?: string[]
}
export type IssuedJwt = { jti: string; audience: string[]; expiresAt: string; keyId: string }

export type Issued = {
  x509?: IssuedX509
  jwts?: IssuedJwt[]
  accessToken?: { id: string; expiresAt: string }
  apiToken?: { id: string; expiresAt: string }
  secrets?: { path: string; version: number }[]
  leases?: { id: string; database: string; username: string; expiresAt: string }[]
}

/** A credential of a workload, under the name that a revocation blocks. */
export type IssuedCredential = {
  kind: 'serialNumber' | 'jti' | 'accessToken'
  id: string
  until: Date
  /** The key that signed it. */
  keyId?: string
  audience?: string[]
}

export function credentialsOf({ x509, jwts = [], accessToken }: Issued): IssuedCredential[] {
  const credentials: IssuedCredential[] = []
  if (x509) {
    const { serialNumber: id, notAfter, keyId } = x509
    credentials.push({ kind: 'serialNumber', id, until: new Date(notAfter), keyId })
  }
  for (const { jti: id, audience, expiresAt, keyId } of jwts) {
    credentials.push({ kind: 'jti', id, until: new Date(expiresAt), keyId, audience })
  }
  if (accessToken) {
    const { id, expiresAt } = accessToken
    credentials.push({ kind: 'accessToken', id, until: new Date(expiresAt) })
  }
  return credentials
}

/** The parts of an entry that name the issued credentials and their holder. */
export type IssuedEntry = {
  actor: { session?: string; spiffeId?: string; workload?: string; workloadId?: string }
  issued: Issued
}

type Row = { epoch: number; idx: string; body: string }

const isIssued = (entry: Partial<IssuedEntry> & { outcome?: string }): entry is IssuedEntry =>
  entry.outcome === 'granted' && entry.issued !== undefined

const read = (body: string): IssuedEntry | undefined => {
  const entry: Partial<IssuedEntry> = JSON.parse(body)
  return isIssued(entry) ? entry : undefined
}

/** A bound on the rows that share a key by chance, or name the credential without having issued it. */
const maxRows = 50

/**
 * The entry that issued a credential; undefined when there is none, or it was redacted.
 * @param name the SHA-256 of a certificate (lower-case hex), its serial number, or the `jti` of a JWT. An operator may
 *   name a certificate by its serial number. It never identifies a caller: other CAs may choose the same number.
 */
export async function findIssued(
  knex: Knex,
  name: { sha256: string } | { serialNumber: string } | { jti: string },
): Promise<IssuedEntry | undefined> {
  const [term = ''] = Object.entries(name).map(([key, value]) => `${key}=${value}`)
  const { rows } = await knex.raw<{ rows: { body: string }[] }>(
    `with matching as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and body is not null)
     select body from matching order by epoch, idx limit ?`,
    [termKeys([term]), maxRows],
  )
  // Two terms may share a key, and revocations carry these terms too: the entry itself decides.
  return rows
    .map((row) => read(row.body))
    .find((entry) => {
      const { issued = {} } = entry ?? {}
      if ('sha256' in name) return issued.x509?.sha256 === name.sha256
      return credentialsOf(issued).some(({ kind, id }) =>
        'jti' in name ? kind === 'jti' && id === name.jti : kind === 'serialNumber' && id === name.serialNumber,
      )
    })
}

/**
 * The entries that issued credentials to a session or a SPIFFE ID, oldest first, read in pages.
 * @param since the earliest time of an entry
 * @param from the first position in the log
 */
export async function* issuedTo(
  tx: Knex,
  holder: { session: string } | { spiffeId: string },
  since: Date,
  from: Place = { epoch: 0, index: 0 },
): AsyncGenerator<{ entry: IssuedEntry; place: Place }> {
  const term = 'session' in holder ? `session=${holder.session}` : `spiffeId=${holder.spiffeId}`
  for (let { epoch, index } = from; ;) {
    const { rows } = await tx.raw<{ rows: Row[] }>(
      `with matching as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and at >= ? and body is not null)
       select epoch, idx, body from matching where (epoch, idx) >= (?, ?) order by epoch, idx limit 500`,
      [termKeys([term]), since, epoch, index],
    )
    for (const row of rows) {
      const entry = read(row.body)
      const isHolder =
        'session' in holder ? entry?.actor.session === holder.session : entry?.actor.spiffeId === holder.spiffeId
      if (entry && isHolder) yield { entry, place: { epoch: row.epoch, index: Number(row.idx) } }
    }
    const last = rows.at(-1)
    if (!last || rows.length < 500) return
    epoch = last.epoch
    index = Number(last.idx) + 1
  }
}
