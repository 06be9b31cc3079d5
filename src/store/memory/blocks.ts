/**
 * Blocks in memory. Blocks of callers are few and keep their rows. Revoked credentials may be a million: for each there is
 * its name and the hour after which it is forgotten. CRLs read the rest from the database.
 */
import type { BlockKind, BlockRow } from '../rows.ts'

export type CredentialKind = Extract<BlockKind, 'serialNumber' | 'jti' | 'accessToken'>
type CallerKind = Exclude<BlockKind, CredentialKind>

export const credentialKinds: readonly CredentialKind[] = ['serialNumber', 'jti', 'accessToken']
export const callerKinds: readonly CallerKind[] = ['session', 'instance', 'spiffeId']
const isCredentialKind = (kind: BlockKind): kind is CredentialKind =>
  kind === 'serialNumber' || kind === 'jti' || kind === 'accessToken'

/** No kind contains a space, so no value can collide with one of another kind. */
const keyOf = (kind: CallerKind, value: string): string => `${kind} ${value}`

const hourMs = 3600_000
/** The first full hour at which the time has passed. */
const hourAfter = (time: Date): number => Math.ceil(time.getTime() / hourMs)

/** What readers of a snapshot see. */
export type Blocks = Pick<BlockTable, 'get' | 'isRevoked' | 'revokedCount' | 'entryKeyedWorkloads'>

/** Names of revoked credentials of one kind. */
class RevokedNames {
  readonly #hourOf = new Map<string, number>()
  readonly #byHour = new Map<number, string[]>()

  get size(): number {
    return this.#hourOf.size
  }

  has(name: string): boolean {
    return this.#hourOf.has(name)
  }

  add(name: string, hour: number): void {
    if (this.#hourOf.get(name) === hour) return
    this.#hourOf.set(name, hour)
    const names = this.#byHour.get(hour)
    if (names) names.push(name)
    else this.#byHour.set(hour, [name])
  }

  /** Costs what it forgets. */
  forget(before: number): void {
    for (const [hour, names] of this.#byHour) {
      if (hour > before) continue
      for (const name of names) if (this.#hourOf.get(name) === hour) this.#hourOf.delete(name)
      this.#byHour.delete(hour)
    }
  }
}

export class BlockTable {
  readonly #callers = new Map<string, BlockRow>()
  readonly #credentials = { serialNumber: new RevokedNames(), jti: new RevokedNames(), accessToken: new RevokedNames() }
  /** Workload entries in the keys of blocks of earlier versions, with the number of these blocks. */
  readonly #entryKeyed = new Map<string, number>()

  get(kind: CallerKind, value: string): BlockRow | undefined {
    return this.#callers.get(keyOf(kind, value))
  }

  isRevoked(kind: CredentialKind, value: string): boolean {
    return this.#credentials[kind].has(value)
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
    if (isCredentialKind(block.kind)) return this.addRevoked(block.kind, block.value, hourAfter(block.until))
    const key = keyOf(block.kind, block.value)
    this.#count(this.#callers.get(key), -1)
    this.#callers.set(key, block)
    this.#count(block, 1)
  }

  /** @param hour hours since 1970 */
  addRevoked(kind: CredentialKind, value: string, hour: number): void {
    this.#credentials[kind].add(value, hour)
  }

  /** Drops what ended before a time, within an hour. */
  forget(before: Date): void {
    const hour = Math.floor(before.getTime() / hourMs)
    for (const kind of credentialKinds) this.#credentials[kind].forget(hour)
    for (const [key, block] of this.#callers) {
      if (block.until >= before) continue
      this.#callers.delete(key)
      this.#count(block, -1)
    }
  }

  #count(block: BlockRow | undefined, change: 1 | -1): void {
    if (block?.workloadId === undefined) return
    const count = (this.#entryKeyed.get(block.workloadId) ?? 0) + change
    if (count > 0) this.#entryKeyed.set(block.workloadId, count)
    else this.#entryKeyed.delete(block.workloadId)
  }
}
