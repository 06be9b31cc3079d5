/** The CRL of one CA key as entries: whole, and in its shards. */
import { CrlEntries, type RevokedCertificate } from './crl-entries.ts'
import { crlShardOf, crlShards } from './crl-shards.ts'

/** What a CRL covers: one shard, by its number, or every certificate of its key. */
export type CrlScope = number | 'whole'

export type CrlContent = {
  count: number
  /** The time of the last revocation, in milliseconds; 0 without any. */
  lastAt: number
  entries: readonly Buffer[]
}

export class CrlList {
  readonly #shards = Array.from({ length: crlShards }, () => new CrlEntries())

  /** @param until the end of the certificate */
  add(revoked: RevokedCertificate, until: Date): void {
    this.#shards[crlShardOf(revoked.serial)]?.add(revoked, until)
  }

  append(more: CrlList): void {
    for (const [n, shard] of more.#shards.entries()) this.#shards[n]?.append(shard)
  }

  /**
   * The entries of a CRL without certificates that ended until a time. The buffers are valid until the next call.
   * @param forgetUntil never goes back
   */
  contentOf(scope: CrlScope, forgetUntil: Date): CrlContent {
    const shards = scope === 'whole' ? this.#shards : this.#shards.slice(scope, scope + 1)
    for (const shard of shards) shard.forget(forgetUntil)
    return {
      count: shards.reduce((sum, shard) => sum + shard.count, 0),
      lastAt: shards.reduce((last, shard) => Math.max(last, shard.lastAt), 0),
      entries: shards.map((shard) => shard.bytes),
    }
  }
}
