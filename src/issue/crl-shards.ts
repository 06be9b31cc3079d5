/**
 * The shards of an issuing key's CRL. A certificate's shard follows from its serial number alone, so every replica agrees
 * on it and nothing is stored. The number of shards is part of the addresses in certificates and never changes: with
 * 1,000,000 revoked certificates a shard lists 16,000, in less than a megabyte.
 */
export const crlShards = 64

/** By the last byte, which is random. */
export const crlShardOf = (serial: Uint8Array): number => (serial.at(-1) ?? 0) % crlShards

/** Where a shard of the CRL at `url` is. The CRL at `url` itself lists every certificate of its key. */
export const crlShardUrl = (url: string, shard: number): string => `${url}/${shard}`
