import type { Credentials } from './sigv4.ts'
import { membersOf } from '../json/parse.ts'

/** A role and the source of its credentials. `region` is the region that the source knows, besides the environment. */
export type Role = {
  words: string
  credentials: (signal: AbortSignal) => Promise<Credentials>
  region?: (signal: AbortSignal) => Promise<string>
}

/** The common form of the container endpoint and the metadata service. */
export function readCredentials(text: string): Credentials | undefined {
  const { Code, AccessKeyId, SecretAccessKey, Token } = membersOf(text) ?? {}
  if (Code !== undefined && Code !== 'Success') return undefined
  if (![AccessKeyId, SecretAccessKey, Token].every(isPlain)) return undefined
  return { accessKeyId: String(AccessKeyId), secretAccessKey: String(SecretAccessKey), sessionToken: String(Token) }
}

/** Valid in a header. */
const isPlain = (value: unknown): boolean => typeof value === 'string' && /^[\x21-\x7e]{1,8192}$/.test(value)
