/** Random bytes for ids, serials and nonces, read from the system 4 KiB at a time: a call for 16 bytes costs as much as one for 4,096. */
import { randomFillSync } from 'node:crypto'

const poolBytes = 4096

export function createRandomBytes(): (size: number) => Buffer {
  let pool = Buffer.alloc(0)
  let at = 0
  return (size) => {
    if (size > poolBytes) throw new RangeError(`at most ${poolBytes} random bytes at once`)
    if (at + size > pool.length) {
      // A new pool each time: callers still hold slices of the old one.
      pool = randomFillSync(Buffer.allocUnsafeSlow(poolBytes))
      at = 0
    }
    at += size
    return pool.subarray(at - size, at)
  }
}
