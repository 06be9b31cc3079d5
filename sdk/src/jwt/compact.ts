/** A JWT in its compact serialization, taken apart before anything of it is believed. */
import { createHash } from 'node:crypto'
import { badToken } from './bad-token.ts'
import { type JsonObject, readStrictObject } from '../json/strict.ts'

export type Compact = {
  alg: string
  kid: string
  signature: Buffer
  /** What is signed: header and payload as they are written. */
  signed: string
  payload: Buffer
}

/** Purser writes none that is nearly as long, and servers of HTTP take no longer header. */
const max = 16_384
const compact = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

/** @throws PurserError `bad_token` for what is too much to look at, or no text */
export function checkLength(token: unknown): void {
  if (typeof token !== 'string' || token.length > max) throw badToken('form', 'it is no text as short as a JWT is')
}

/**
 * @throws PurserError `bad_token`: not three segments of base64url, or a header that JWT-SVIDs don't have
 */
export function readCompact(token: string): Compact {
  const [, header = '', payload = '', signature = ''] = compact.exec(token) ?? []
  if (signature === '') throw badToken('form', 'it is not three segments of base64url, as JWTs in compact form are')
  const [head, body, tail] = [header, payload, signature].map(decode)
  if (!head || !body || !tail) throw badToken('form', 'a segment is not the one base64url text of its bytes')
  const { alg, kid } = readHeader(readStrictObject(head))
  return { alg, kid, signature: tail, signed: `${header}.${payload}`, payload: body }
}

/** Many texts decode to the same bytes; one of them is canonical (RFC 4648 section 3.5). */
function decode(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : undefined
}

/** SPIFFE JWT-SVID section 2: `alg`, `kid`, `typ`, and no other: no key or address of one is ever taken from a token. */
function readHeader(header: JsonObject | undefined): { alg: string; kid: string } {
  if (!header) throw badToken('header', 'it is not one JSON object, each name once')
  const others = Object.keys(header).some((name) => !['alg', 'kid', 'typ'].includes(name))
  if (others) throw badToken('header', 'it holds more than alg, kid and typ')
  const { alg, kid, typ } = header
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') throw badToken('header', 'typ is neither JWT nor JOSE')
  if (typeof kid !== 'string' || kid === '') throw badToken('kid', 'it names no key')
  if (typeof alg !== 'string') throw badToken('alg', 'it names no algorithm')
  return { alg, kid }
}

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64')
