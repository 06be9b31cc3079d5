/** Issued credentials as entries of the log name them, and read from the log: there is no other table of them. */
import type { Knex } from './database.ts'
import type { Place, Run } from './entries.ts'
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

type Row = { epoch: number; idx: string }
const placeOf = ({ epoch, idx }: Row): Place => ({ epoch, index: Number(idx) })

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

/** Rows of one read. */
const pageSize = 500

/** A part of the log: everything before a position, or entries [from, to) of an epoch. */
export type LogPart = { before: Place } | ({ epoch: number } & Run)

/** Milliseconds for the search before a position. It holds no lock, and a busy SPIFFE ID may have a million entries. */
const patience = 60_000

/** The positions of the entries with a key that are before a position, in order: found by the index. */
async function placesBefore(tx: Knex, key: number[], since: Date, { epoch, index }: Place): Promise<Place[]> {
  const setTimeLimit = (value: string) => tx.raw(`select set_config('statement_timeout', ?, true)`, [value])
  const before = await tx.raw<{ rows: { limit: string }[] }>(`select current_setting('statement_timeout') as "limit"`)
  await setTimeLimit(String(patience))
  const { rows } = await tx
    .raw<{ rows: Row[] }>(
      `with matching as materialized (select epoch, idx from log_entry where terms @> ?::bigint[] and at >= ?)
       select epoch, idx from matching where (epoch, idx) < (?, ?) order by epoch, idx`,
      [key, since, epoch, index],
    )
    .options({ query_timeout: patience })
  await setTimeLimit(before.rows[0]?.limit ?? '0')
  return rows.map(placeOf)
}

/**
 * The same for a short range: all its entries are read. The index on terms would visit the earlier ones too, so `is true`
 * keeps the planner from it.
 */
async function placesWithin(
  tx: Knex,
  key: number[],
  since: Date,
  { epoch, from, to }: { epoch: number } & Run,
): Promise<Place[]> {
  // prettier-ignore
  const { rows } = await tx.raw<{ rows: Row[] }>(
    `select epoch, idx from log_entry
      where epoch = ? and idx >= ? and idx < ? and (terms @> ?::bigint[]) is true and at >= ? order by idx`,
    [epoch, from, to, key, since],
  )
  return rows.map(placeOf)
}

/** The texts of entries, without redacted ones. */
export async function readBodies(tx: Knex, places: readonly Place[]): Promise<string[]> {
  const { rows } = await tx.raw<{ rows: { body: string }[] }>(
    `select e.body from unnest(?::int[], ?::bigint[]) as place (epoch, idx)
       join log_entry e on e.epoch = place.epoch and e.idx = place.idx
      where e.body is not null order by e.epoch, e.idx`,
    [places.map(({ epoch }) => epoch), places.map(({ index }) => index)],
  )
  return rows.map(({ body }) => body)
}

/**
 * The entries of one part of the log that issued credentials to a session or a SPIFFE ID, oldest first, read in pages.
 * @param since the earliest time of an entry
 */
export async function* issuedTo(
  tx: Knex,
  holder: { session: string } | { spiffeId: string },
  since: Date,
  part: LogPart,
): AsyncGenerator<IssuedEntry> {
  const term = 'session' in holder ? `session=${holder.session}` : `spiffeId=${holder.spiffeId}`
  const key = termKeys([term])
  const places =
    'before' in part ? await placesBefore(tx, key, since, part.before) : await placesWithin(tx, key, since, part)
  for (let start = 0; start < places.length; start += pageSize) {
    for (const body of await readBodies(tx, places.slice(start, start + pageSize))) {
      const entry = read(body)
      const isHolder =
        'session' in holder ? entry?.actor.session === holder.session : entry?.actor.spiffeId === holder.spiffeId
      if (entry && isHolder) yield entry
    }
  }
}
