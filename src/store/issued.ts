/** What was issued, from the log: there is no second table of it. */
import type { Knex } from './database.ts'
import { termKeys } from './term-keys.ts'

/** The parts of an entry that say what left with it, and to whom. */
export type IssuedEntry = {
  actor: { session?: string; spiffeId?: string; workload?: string; workloadId?: string }
  issued: {
    x509?: { serialNumber: string; sha256: string; notAfter: string; keyId: string }
    jwts?: { jti: string; audience: string[]; expiresAt: string; keyId: string }[]
    accessToken?: { id: string; expiresAt: string }
  }
}

type Row = { epoch: number; idx: string; body: string }

const isIssued = (entry: Partial<IssuedEntry> & { outcome?: string }): entry is IssuedEntry =>
  entry.outcome === 'granted' && entry.issued !== undefined

const read = (body: string): IssuedEntry | undefined => {
  const entry: Partial<IssuedEntry> = JSON.parse(body)
  return isIssued(entry) ? entry : undefined
}

/** How many rows share a key by chance, or name the same credential without having issued it. */
const max = 50

/**
 * The entry that issued a credential of that name; nothing where there is none, or retention took it.
 * @param name the SHA-256 of a certificate (lower-case hex), its serial number, or the `jti` of a JWT. A serial number
 *   identifies a certificate of ours to an operator, and never a caller: other CAs choose their own.
 */
export async function findIssued(
  knex: Knex,
  name: { sha256: string } | { serialNumber: string } | { jti: string },
): Promise<IssuedEntry | undefined> {
  const [term = ''] = Object.entries(name).map(([key, value]) => `${key}=${value}`)
  const found = await knex.raw<{ rows: { body: string }[] }>(
    `with found as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and body is not null)
     select body from found order by epoch, idx limit ?`,
    [termKeys([term]), max],
  )
  // Terms are found by keys that two may share, and revocations carry them too: the entry itself decides.
  return found.rows
    .map((row) => read(row.body))
    .find((entry) => {
      const { x509, jwts } = entry?.issued ?? {}
      if ('jti' in name) return jwts?.some(({ jti }) => jti === name.jti)
      return 'sha256' in name ? x509?.sha256 === name.sha256 : x509?.serialNumber === name.serialNumber
    })
}

/** Where in the log a search begins, by epoch and index. */
export type Place = { epoch: number; index: number }

/**
 * What was issued to a session or a SPIFFE ID, oldest first, read in pages.
 * @param since entries of that time or later
 * @param from and at that place or later
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
      `with found as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and at >= ? and body is not null)
       select epoch, idx, body from found where (epoch, idx) >= (?, ?) order by epoch, idx limit 500`,
      [termKeys([term]), since, epoch, index],
    )
    for (const row of rows) {
      const entry = read(row.body)
      const theirs =
        'session' in holder ? entry?.actor.session === holder.session : entry?.actor.spiffeId === holder.spiffeId
      if (entry && theirs) yield { entry, place: { epoch: row.epoch, index: Number(row.idx) } }
    }
    const last = rows.at(-1)
    if (!last || rows.length < 500) return
    epoch = last.epoch
    index = Number(last.idx) + 1
  }
}
