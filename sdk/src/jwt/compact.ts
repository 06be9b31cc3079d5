/** Parses the compact serialization of a JWT. Nothing in it is trusted yet. */
import { createHash } from 'node:crypto'
import { badToken } from './bad-token.ts'
import { type JsonObject, readStrictObject } from '../json/strict.ts'

export type Compact = {
  alg: string
  kid: string
  signature: Buffer
  /** The signed part: encoded header and payload. */
  signed: string
  payload: Buffer
}

/** Purser's tokens are far shorter, and HTTP servers accept no longer header. */
const maxLength = 16_384
const compact = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

/** @throws PurserError `bad_token` for a token that is too long or not a string */
export function checkLength(token: unknown): void {
  if (typeof token !== 'string' || token.length > maxLength)
    throw badToken('form', 'it is not a string of at most 16 KiB')
}

/**
 * @throws PurserError `bad_token` unless it has three segments of base64url and the header of a JWT-SVID
 */
export function readCompact(token: string): Compact {
  const [, header = '', payload = '', signature = ''] = compact.exec(token) ?? []
  if (signature === '') throw badToken('form', 'it does not have three segments of base64url')
  const [head, body, tail] = [header, payload, signature].map(decode)
  if (!head || !body || !tail) throw badToken('form', 'a segment is not canonical base64url')
  const { alg, kid } = readHeader(readStrictObject(head))
  return { alg, kid, signature: tail, signed: `${header}.${payload}`, payload: body }
}

/** Several texts decode to the same bytes; only one is canonical (RFC 4648 section 3.5). */
function decode(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : undefined
}

/** SPIFFE JWT-SVID section 2: only `alg`, `kid` and `typ`. A token never supplies its own key or a key's URL. */
function readHeader(header: JsonObject | undefined): { alg: string; kid: string } {
  if (!header) throw badToken('header', 'it is not a JSON object with unique names')
  const others = Object.keys(header).some((name) => !['alg', 'kid', 'typ'].includes(name))
  if (others) throw badToken('header', 'it has members other than alg, kid and typ')
  const { alg, kid, typ } = header
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') throw badToken('header', 'typ is neither JWT nor JOSE')
  if (typeof kid !== 'string' || kid === '') throw badToken('kid', 'it names no key')
  if (typeof alg !== 'string') throw badToken('alg', 'it names no algorithm')
  return { alg, kid }
}

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64')
