/** A worker thread that makes rows of the filled log, a chunk for each message. */
import { hash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { leafHash } from '@purser/sdk/verify'
import type { LogEntry } from '../../src/audit/entry.ts'
import { seal } from '../../src/audit/seal.ts'
import { type LogRow, rowBytes, writeRow } from './copy.ts'
import { type LogShape, entryAt } from './entries.ts'

/** Rows of the numbers [from, to). Number 0 has the index `start` of the log. */
export type ChunkRequest = { from: number; to: number }
/** The rows in the format of COPY, and their leaf hashes. */
export type Chunk = { rows: Uint8Array; leaves: Uint8Array }
export type FillData = { shape: LogShape; epoch: number; start: number }

/** Entries of one append. */
const batchSize = 64

const { shape, epoch, start }: FillData = workerData

/** HMAC-SHA-256 by its definition (RFC 2104 section 2): `createHmac` takes five times as long. */
const inner = Buffer.alloc(8192)
const outer = Buffer.alloc(96)
function commitmentOf(nonce: Buffer, body: string): Buffer {
  inner.fill(0x36, 32, 64)
  outer.fill(0x5c, 32, 64)
  for (let i = 0; i < 32; i++) {
    const byte = nonce[i] ?? 0
    inner[i] = byte ^ 0x36
    outer[i] = byte ^ 0x5c
  }
  const length = inner.write(body, 64, 'latin1')
  hash('sha256', inner.subarray(0, 64 + length), 'buffer').copy(outer, 64)
  return hash('sha256', outer, 'buffer')
}

function rowOf(n: number): LogRow {
  const { body, terms, time } = entryAt(shape, n)
  // Always the same for an entry, so that two fills have the same hashes.
  const nonce = hash('sha256', `nonce ${n}`, 'buffer')
  const batch = Buffer.from(hash('md5', `batch ${Math.floor(n / batchSize)}`), 'hex')
  return { epoch, index: start + n, leaf: commitmentOf(nonce, body), nonce, body, batch, time, terms }
}

const sameTerms = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((term) => b.includes(term))

/** The shortcuts here give what the server would have written. @throws Error when they do not */
function check({ leaf, nonce, body, terms }: LogRow): void {
  const entry: LogEntry = JSON.parse(body)
  const sealed = seal(entry, () => nonce)
  const same = sealed.body === body && sealed.leaf.equals(leaf) && sameTerms(sealed.terms, terms)
  if (!same) throw new Error(`the filled entry is not as the server writes it: ${body}`)
}

function chunkOf({ from, to }: ChunkRequest): Chunk {
  const rows = Array.from({ length: to - from }, (_, i) => rowOf(from + i))
  for (let n = 0; n < rows.length; n += 97) if (rows[n]) check(rows[n] as LogRow)
  const bytes = Buffer.allocUnsafeSlow(rows.reduce((sum, row) => sum + rowBytes(row), 0))
  let at = 0
  for (const row of rows) at = writeRow(bytes, at, row)
  return { rows: bytes.subarray(0, at), leaves: Buffer.concat(rows.map(({ leaf }) => leafHash(leaf))) }
}

parentPort?.on('message', (request: ChunkRequest) => parentPort?.postMessage(chunkOf(request), []))
