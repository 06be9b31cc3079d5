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

export const credentialKinds: readonly CredentialKind[] = ['serialNumber', 'jti', 'accessToken']
export const callerKinds: readonly CallerKind[] = ['session', 'instance', 'spiffeId', 'attestor', 'selectors']
const isCredentialKind = (kind: BlockKind): kind is CredentialKind =>
  kind === 'serialNumber' || kind === 'jti' || kind === 'accessToken'

/** No kind contains a space, so no value can collide with one of another kind. */
const keyOf = (kind: CallerKind, value: string): string => `${kind} ${value}`

const hourMs = 3600_000
/** The first full hour at which the time has passed. */
const hourAfter = (time: Date): number => Math.ceil(time.getTime() / hourMs)

/** The number of revoked credentials of a kind that are forgotten after an hour, in hours since 1970. */
export type RevokedCount = { kind: CredentialKind; hour: number; count: number }

/** What readers of a snapshot see. */
export type Blocks = Pick<BlockTable, 'get' | 'ofSelectors' | 'isNewlyRevoked' | 'revokedCount' | 'entryKeyedWorkloads'>

/** Revoked credentials of one kind, by the hour after which they are forgotten. */
class RevokedNames {
  readonly #newNames = new Map<string, number>()
  readonly #newByHour = new Map<number, string[]>()
  readonly #counts = new Map<number, number>()

  get size(): number {
    let size = 0
    for (const count of this.#counts.values()) size += count
    return size
  }

  isNew(name: string): boolean {
    return this.#newNames.has(name)
  }

  /** Credentials without their names. */
  count(hour: number, count: number): void {
    this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + count)
  }

  add(name: string, hour: number): void {
    // The row of a revoked credential never changes: one that comes again is the same.
    if (this.#newNames.has(name)) return
    this.#newNames.set(name, hour)
    const names = this.#newByHour.get(hour)
    if (names) names.push(name)
    else this.#newByHour.set(hour, [name])
    this.count(hour, 1)
  }

  /** Costs what it forgets. */
  forget(before: number): void {
    for (const [hour, names] of this.#newByHour) {
      if (hour > before) continue
      for (const name of names) this.#newNames.delete(name)
      this.#newByHour.delete(hour)
    }
    for (const hour of this.#counts.keys()) if (hour <= before) this.#counts.delete(hour)
  }
}

export class BlockTable {
  readonly #callers = new Map<string, BlockRow>()
  readonly #credentials = { serialNumber: new RevokedNames(), jti: new RevokedNames(), accessToken: new RevokedNames() }
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
    return this.#credentials[kind].isNew(name)
  }

  /** Including those that ended and are not forgotten yet. */
  revokedCount(kind: CredentialKind): number {
    return this.#credentials[kind].size
  }

  /** The workload entries that the keys of some instances include: keys of an earlier version. */
  entryKeyedWorkloads(): string[] {
    return [...this.#entryKeyed.keys()]
  }

  set(block: BlockRow): void {
    if (isCredentialKind(block.kind)) return this.#credentials[block.kind].add(block.value, hourAfter(block.until))
    const key = keyOf(block.kind, block.value)
    this.#count(this.#callers.get(key), -1)
    this.#callers.set(key, block)
    this.#count(block, 1)
    this.#addSelectors(block)
  }

  #addSelectors({ kind, value, attestorId, selectors }: BlockRow): void {
    if (kind !== 'selectors' || attestorId === undefined || !selectors) return
    const index = this.#bySelectors.get(attestorId) ?? new MatchIndex()
    this.#bySelectors.set(attestorId, index)
    index.delete(value)
    index.add(value, selectors)
  }

  /** @param hour hours since 1970 */
  countRevoked({ kind, hour, count }: RevokedCount): void {
    this.#credentials[kind].count(hour, count)
  }

  /** Drops what ended before a time, within an hour. */
  forget(before: Date): void {
    const hour = Math.floor(before.getTime() / hourMs)
    for (const kind of credentialKinds) this.#credentials[kind].forget(hour)
    for (const [key, block] of this.#callers) {
      if (block.until >= before) continue
      this.#callers.delete(key)
      this.#count(block, -1)
      this.#bySelectors.get(block.attestorId ?? '')?.delete(block.value)
    }
  }

  #count(block: BlockRow | undefined, change: 1 | -1): void {
    if (block?.workloadId === undefined) return
    const count = (this.#entryKeyed.get(block.workloadId) ?? 0) + change
    if (count > 0) this.#entryKeyed.set(block.workloadId, count)
    else this.#entryKeyed.delete(block.workloadId)
  }
}
