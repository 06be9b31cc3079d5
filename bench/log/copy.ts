/** Rows of `log_entry` in the binary format of COPY (PostgreSQL documentation, COPY, Binary Format), and their transfer. */
import { Client, type Connection, type Submittable } from 'pg'

export type LogRow = {
  epoch: number
  index: number
  leaf: Buffer
  nonce: Buffer
  /** ASCII. */
  body: string
  /** A UUID, 16 bytes. */
  batch: Buffer
  time: number
  terms: readonly number[]
}

export const logColumns = 'epoch, idx, leaf, nonce, body, batch, at, terms'

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
/** Signature, flags, and the length of the header's extension. */
const header = Buffer.concat([signature, Buffer.alloc(8)])
const trailer = Buffer.from([0xff, 0xff])
const fields = 8
const int8Oid = 20
/** Times count microseconds since 2000. */
const epoch2000 = Date.UTC(2000, 0, 1)

/** The bytes of a row beside its body and terms. */
const fixedBytes = 2 + fields * 4 + 4 + 8 + 32 + 32 + 16 + 8 + 20

export const rowBytes = ({ body, terms }: Pick<LogRow, 'body' | 'terms'>): number =>
  fixedBytes + body.length + terms.length * 12

/** @returns the position after the row */
export function writeRow(out: Buffer, start: number, row: LogRow): number {
  let at = out.writeInt16BE(fields, start)
  const bytes = (value: Buffer): void => {
    at = out.writeInt32BE(value.length, at)
    at += value.copy(out, at)
  }
  const int4 = (value: number): void => {
    at = out.writeInt32BE(4, at)
    at = out.writeInt32BE(value, at)
  }
  const int8 = (value: number): void => {
    at = out.writeInt32BE(8, at)
    at = out.writeInt32BE(Math.floor(value / 2 ** 32), at)
    at = out.writeUInt32BE(value % 2 ** 32, at)
  }
  int4(row.epoch)
  int8(row.index)
  bytes(row.leaf)
  bytes(row.nonce)
  const length = out.write(row.body, at + 4, 'latin1')
  out.writeInt32BE(length, at)
  at += 4 + length
  bytes(row.batch)
  int8((row.time - epoch2000) * 1000)
  // One dimension, no nulls, its length, its lower bound.
  at = out.writeInt32BE(20 + row.terms.length * 12, at)
  for (const value of [1, 0, int8Oid, row.terms.length, 1]) at = out.writeInt32BE(value, at)
  for (const term of row.terms) int8(term)
  return at
}

type CopyConnection = Connection & {
  query(text: string): void
  sendCopyFail(message: string): void
  stream: { write(chunk: Buffer, done: () => void): boolean }
}

/** CopyData of the wire protocol. */
function copyData(chunk: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write('d')
  head.writeInt32BE(chunk.length + 4, 1)
  return Buffer.concat([head, chunk])
}

const copyDone = Buffer.from('c\0\0\0\x04', 'latin1')

/** Sends chunks of rows with one COPY. A chunk is requested when the connection has taken the one before. */
export function copyRows(client: Client, table: string, columns: string, chunks: AsyncIterable<Buffer>): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined
    async function send({ stream }: CopyConnection): Promise<void> {
      const write = (bytes: Buffer): Promise<void> => new Promise((done) => stream.write(bytes, done))
      await write(copyData(header))
      for await (const chunk of chunks) {
        if (failure) return
        await write(copyData(chunk))
      }
      await write(copyData(trailer))
      await write(copyDone)
    }
    const copy: Submittable & Record<string, unknown> = {
      submit: (connection: Connection) =>
        (connection as CopyConnection).query(`copy ${table} (${columns}) from stdin (format binary)`),
      handleCopyInResponse: (connection: CopyConnection) =>
        void send(connection).catch((error: Error) => {
          failure = error
          connection.sendCopyFail(error.message)
        }),
      handleCommandComplete: () => undefined,
      handleError: (error: Error) => (failure ??= error),
      handleReadyForQuery: () => (failure ? reject(failure) : resolve()),
    }
    client.query(copy)
  })
}
