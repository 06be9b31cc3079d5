/**
 * CRLs (RFC 5280 section 5): what one of our CA keys signed and was revoked, until some time after its end. Each key has
 * a whole CRL, and each issuing key also shards of it. A process keeps entries and CRLs while they are requested.
 */
import { refuse } from '../../errors.ts'
import { signCrl } from '../../issue/crl.ts'
import type { CrlContent, CrlScope } from '../../issue/crl-list.ts'
import { crlShardUrl, crlShards } from '../../issue/crl-shards.ts'
import { type Keys, isRequested, isUpstream } from '../../keys/keys.ts'
import type { Rotator } from '../../keys/rotate.ts'
import type { Database } from '../../store/database.ts'
import type { KeyRow } from '../../store/rows.ts'
import { sharedRead } from '../../store/shared-read.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type ReadList, createIssuerList, createLeafList } from './crl-lists.ts'

export type CrlParts = {
  db: Pick<Database, 'knex'>
  keys: Pick<Keys, 'ca'>
  rotator: Pick<Rotator, 'crlUrl'>
  /** Seconds for which readers may keep keys and bundle; a CRL is built anew as often. */
  refresh: number
}

/** `tag` is the same at every replica with the same entries, for as long as a CRL is current. */
type Crl = { tag: string; der: Buffer }
/** `read` returns this CRL, or one that was built since. */
export type CurrentCrl = { tag: string; read: () => Promise<Crl> }

type Times = ReturnType<typeof createTimes>
type Due = { tag: string; number: bigint; issuedAt: number; entries: CrlContent['entries'] }
type KeyCrls = { update: (snapshot: Snapshot, at: Date) => Promise<void>; current: (scope: CrlScope) => CurrentCrl }

/** Clocks of verifiers may be behind. */
const backdateMs = 60_000
/** A verifier that reads once per `refresh` never holds an expired CRL, also where the server is down for as long again. */
const periods = 3
const minLifetimeMs = 300_000
/** The whole CRL of a million certificates alone has up to 50 MB. */
const maxCachedBytes = 64 * 1024 * 1024
const idleMs = 600_000

/** Replicas agree on times without a word: a period begins at a multiple of `refresh`. */
function createTimes(refresh: number) {
  const refreshMs = refresh * 1000
  const lifetimeMs = Math.max(periods * refreshMs, minLifetimeMs)
  const periodOf = (at: Date): number => Math.floor(at.getTime() / refreshMs) * refreshMs
  return {
    lifetimeMs,
    /** Section 3.3: an entry is in each CRL of at least one whole period after its certificate's end. */
    endedAfter: (at: Date): Date => new Date(periodOf(at) + refreshMs - lifetimeMs),
    /** A revocation dates the CRL that lists it, unless the clock of its replica was far ahead. */
    issuedAt: (at: Date, lastAt: number): number =>
      lastAt - backdateMs > at.getTime() ? periodOf(at) : Math.max(periodOf(at), lastAt),
  }
}

/** A withdrawn key signs no CRL that a verifier should believe. Its own revocation is in the CRL of the key above it. */
const signsCrls = (row: KeyRow, at: Date): boolean =>
  (row.kind === 'issuing-ca' || row.kind === 'root-ca') &&
  !isRequested(row) &&
  !isUpstream(row) &&
  !row.withdrawnAt &&
  row.goneAt > at

function createKeyCrls(
  readList: ReadList,
  times: Times,
  sign: (due: Due, scope: CrlScope) => Promise<Buffer>,
): KeyCrls {
  let state: Awaited<ReturnType<ReadList>> | undefined
  let now = new Date(0)
  const cache = createCrlCache()
  const reads = new Map<CrlScope, () => Promise<Crl>>()

  function dueCrl(scope: CrlScope): Due {
    if (!state) throw new Error('a CRL was requested before its list')
    const { count, lastAt, entries } = state.list.contentOf(scope, times.endedAfter(now))
    const issuedAt = times.issuedAt(now, lastAt)
    const seconds = Math.floor(issuedAt / 1000)
    // Section 5.2.3: two CRLs of different times never share a number. The revision comes first, so that the CRL of a
    // replica that is behind does not look newer.
    const number = (BigInt(state.revision) << 40n) | BigInt(seconds)
    // Within a period entries are only added, so their number tells contents apart.
    return { tag: `${seconds}-${count}`, number, issuedAt, entries }
  }

  async function build(scope: CrlScope): Promise<Crl> {
    const due = dueCrl(scope)
    const cached = cache.get(scope)
    if (cached?.tag === due.tag) return cached
    const crl = { tag: due.tag, der: await sign(due, scope) }
    cache.set(scope, crl)
    return crl
  }

  return {
    async update(snapshot, at) {
      now = at
      const latest = await readList(snapshot, times.endedAfter(at))
      if (!state || latest.revision >= state.revision) state = latest
    },
    current(scope) {
      const { tag } = dueCrl(scope)
      const cached = cache.get(scope)
      if (cached?.tag === tag) return { tag, read: async () => cached }
      // Requests share a build: under steady revocations there is one at a time.
      const read = reads.get(scope) ?? sharedRead(() => build(scope))
      reads.set(scope, read)
      return { tag, read }
    },
  }
}

/** The CRLs used last, and always the newest. */
function createCrlCache() {
  const crls = new Map<CrlScope, Crl>()
  return {
    get(scope: CrlScope): Crl | undefined {
      const crl = crls.get(scope)
      if (crl && crls.delete(scope)) crls.set(scope, crl)
      return crl
    },
    set(scope: CrlScope, crl: Crl): void {
      crls.delete(scope)
      let bytes = crl.der.length
      for (const [other, { der }] of [...crls].toReversed()) {
        bytes += der.length
        if (bytes > maxCachedBytes) crls.delete(other)
      }
      crls.set(scope, crl)
    },
  }
}

/**
 * @returns the present CRL of a CA key, whole or of one shard
 * @throws Refusal `not_found`
 */
export function createCrls({
  db,
  keys,
  rotator,
  refresh,
}: CrlParts): (snapshot: Snapshot, name: { keyId: string; shard?: number }, at: Date) => Promise<CurrentCrl> {
  const times = createTimes(refresh)
  const crlsOfKeys = new Map<string, { crls: KeyCrls; idle: NodeJS.Timeout }>()

  function crlsFor(row: KeyRow): KeyCrls {
    const active = crlsOfKeys.get(row.id)
    if (active) {
      active.idle.refresh()
      return active.crls
    }
    const readList = row.kind === 'root-ca' ? createIssuerList(row.id) : createLeafList(db, row.id)
    const crls = createKeyCrls(readList, times, ({ number, issuedAt, entries }, scope) =>
      signCrl(
        {
          issuer: keys.ca(row).issuer,
          number,
          thisUpdate: new Date(issuedAt - backdateMs),
          nextUpdate: new Date(issuedAt + times.lifetimeMs),
          ...(scope !== 'whole' && { point: crlShardUrl(rotator.crlUrl(row.id), scope) }),
        },
        entries,
      ),
    )
    crlsOfKeys.set(row.id, { crls, idle: setTimeout(() => crlsOfKeys.delete(row.id), idleMs).unref() })
    return crls
  }

  return async (snapshot, { keyId, shard }, at) => {
    const row = snapshot.keys.get(keyId)
    if (!row || !signsCrls(row, at)) throw refuse('not_found')
    // A root signs a few certificates, so its CRL has no shards.
    if (shard !== undefined && (row.kind === 'root-ca' || !(shard < crlShards))) throw refuse('not_found')
    const crls = crlsFor(row)
    await crls.update(snapshot, at)
    return crls.current(shard ?? 'whole')
  }
}
