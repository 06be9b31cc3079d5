/** Opaque tokens: a prefix with the kind and 256 random bits. Stored as SHA-256, with a public id for the log. */
import { createHash } from 'node:crypto'
import { newId } from './id.ts'

const kinds = ['at', 'api', 'join', 'boot'] as const
export type TokenKind = (typeof kinds)[number]
export type OpaqueToken = { token: string; id: string; hash: Buffer }

const form = /^purser_(at|api|join|boot)_[A-Za-z0-9_-]{43}$/

export const hashToken = (token: string): Buffer => createHash('sha256').update(token, 'utf8').digest()

export function newToken(kind: TokenKind, randomBytes: (size: number) => Buffer): OpaqueToken {
  const token = `purser_${kind}_${randomBytes(32).toString('base64url')}`
  return { token, id: newId(`tok`, randomBytes), hash: hashToken(token) }
}

/** The kind of a well-formed token, which need not exist. */
export function tokenKind(token: string): TokenKind | undefined {
  const kind = kinds.find((name) => token.startsWith(`purser_${name}_`) && form.test(token))
  // 43 characters have 258 bits, so four texts decode to the same token. Only the canonical one is valid.
  const text = token.slice(token.indexOf('_', 7) + 1)
  return kind && Buffer.from(text, 'base64url').toString('base64url') === text ? kind : undefined
}
