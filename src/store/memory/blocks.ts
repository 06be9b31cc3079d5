/**
 * Blocks in memory. Blocks of callers are few and keep their rows. Revoked credentials may be a million, so memory holds
 * the names of those only that were revoked after the first read. The look-up of a credential finds earlier ones in the
 * database (sessions.ts). It comes after the first read, so both together know every revocation.
 */
import { MatchIndex } from '../../names/match-index.ts'
import { type Selectors, matches } from '../../names/selectors.ts'
import type { BlockKind, BlockRow } from '../rows.ts'

export type CredentialKind = Extract<BlockKind, 'serialNumber' | 'jti' | 'accessToken'>
type CallerKind = Exclude<BlockKind, CredentialKind>

export const callerKinds: readonly CallerKind[] = ['session', 'instance', 'spiffeId', 'attestor', 'selectors']
const isCredentialKind = (kind: BlockKind): kind is CredentialKind =>
  kind === 'serialNumber' || kind === 'jti' || kind === 'accessToken'

/** No kind contains a space, so no value can collide with one of another kind. */
const keyOf = (kind: CallerKind, value: string): string => `${kind} ${value}`

const hourMs = 3600_000
/** The first full hour at which the time has passed. */
const hourAfter = (time: Date): number => Math.ceil(time.getTime() / hourMs)

/** The number of revoked certificates that are forgotten after an hour, in hours since 1970. */
export type RevokedCount = { hour: number; count: number }

/** What readers of a snapshot see. */
export type Blocks = Pick<
  BlockTable,
  'get' | 'ofSelectors' | 'isNewlyRevoked' | 'revokedCertificates' | 'entryKeyedWorkloads'
>

/** Credentials of one kind that were revoked after the first read, by the hour after which they are forgotten. */
class RevokedNames {
  readonly #names = new Set<string>()
  readonly #byHour = new Map<number, string[]>()

  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** @returns whether it is new: the row of a revoked credential never changes, but may be read again */
  add(name: string, hour: number): boolean {
    if (this.#names.has(name)) return false
    this.#names.add(name)
    const names = this.#byHour.get(hour)
    if (names) names.push(name)
    else this.#byHour.set(hour, [name])
    return true
  }

  /** Costs what it forgets. */
  forget(before: number): void {
    for (const [hour, names] of this.#byHour) {
      if (hour > before) continue
      for (const name of names) this.#names.delete(name)
      this.#byHour.delete(hour)
    }
  }
}

export class BlockTable {
  readonly #callers = new Map<string, BlockRow>()
  readonly #credentials = { serialNumber: new RevokedNames(), jti: new RevokedNames(), accessToken: new RevokedNames() }
  /** Numbers of revoked certificates by hour. */
  readonly #certificates = new Map<number, number>()
  /** By attestor, the values of the blocks of selectors, so that a look-up visits no other block. */
  readonly #bySelectors = new Map<string, MatchIndex>()
  /** Workload entries in the keys of blocks of earlier versions, with the number of these blocks. */
  readonly #entryKeyed = new Map<string, number>()

  get(kind: CallerKind, value: string): BlockRow | undefined {
    return this.#callers.get(keyOf(kind, value))
  }

  /** The blocks whose selectors an instance of the attestor has. */
  ofSelectors(attestorId: string, selectors: Selectors): BlockRow[] {
    const index = this.#bySelectors.get(attestorId)
    if (!index) return []
    return [...index.candidates(selectors)].flatMap((value) => {
      const block = this.get('selectors', value)
      return block?.selectors && matches(block.selectors, selectors, false) ? block : []
    })
  }

  /** False for a credential that was revoked before the first read: its look-up does not find it. */
  isNewlyRevoked(kind: CredentialKind, name: string): boolean {
    return this.#credentials[kind].has(name)
  }

  /** Including those that ended and are not forgotten yet. Of those before the first read it knows what was counted. */
  revokedCertificates(): number {
    let sum = 0
    for (const count of this.#certificates.values()) sum += count
    return sum
  }

  /** The workload entries that the keys of some instances include: keys of an earlier version. */
  entryKeyedWorkloads(): string[] {
    return [...this.#entryKeyed.keys()]
  }

  set(block: BlockRow): void {
    if (isCredentialKind(block.kind)) return this.#addCredential(block.kind, block.value, hourAfter(block.until))
    const key = keyOf(block.kind, block.value)
    this.#count(this.#callers.get(key), -1)
    this.#callers.set(key, block)
    this.#count(block, 1)
    this.#addSelectors(block)
  }

  #addCredential(kind: CredentialKind, name: string, hour: number): void {
    const isNew = this.#credentials[kind].add(name, hour)
    if (isNew && kind === 'serialNumber') this.countRevoked({ hour, count: 1 })
  }

  #addSelectors({ kind, value, attestorId, selectors }: BlockRow): void {
    if (kind !== 'selectors' || attestorId === undefined || !selectors) return
    const index = this.#bySelectors.get(attestorId) ?? new MatchIndex()
    this.#bySelectors.set(attestorId, index)
    index.delete(value, selectors)
    index.add(value, selectors)
  }

  /** Adds certificates without their names. */
  countRevoked({ hour, count }: RevokedCount): void {
    this.#certificates.set(hour, (this.#certificates.get(hour) ?? 0) + count)
  }

  /** Drops what ended before a time, within an hour. */
  forget(before: Date): void {
    const hour = Math.floor(before.getTime() / hourMs)
    for (const names of Object.values(this.#credentials)) names.forget(hour)
    for (const ended of this.#certificates.keys()) if (ended <= hour) this.#certificates.delete(ended)
    for (const [key, block] of this.#callers) {
      if (block.until >= before) continue
      this.#callers.delete(key)
      this.#count(block, -1)
      this.#bySelectors.get(block.attestorId ?? '')?.delete(block.value, block.selectors ?? {})
    }
  }

  #count(block: BlockRow | undefined, change: 1 | -1): void {
    if (block?.workloadId === undefined) return
    const count = (this.#entryKeyed.get(block.workloadId) ?? 0) + change
    if (count > 0) this.#entryKeyed.set(block.workloadId, count)
    else this.#entryKeyed.delete(block.workloadId)
  }
}
