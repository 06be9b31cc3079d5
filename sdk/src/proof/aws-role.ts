import type { Credentials } from './sigv4.ts'
import { membersOf } from '../json/parse.ts'

/** A role and where its credentials come from. `region` is what the place of the credentials knows beside the environment. */
export type Role = {
  words: string
  credentials: (signal: AbortSignal) => Promise<Credentials>
  region?: (signal: AbortSignal) => Promise<string>
}

/** The form that the container endpoint and the metadata service share. */
export function readCredentials(text: string): Credentials | undefined {
  const { Code, AccessKeyId, SecretAccessKey, Token } = membersOf(text) ?? {}
  if (Code !== undefined && Code !== 'Success') return undefined
  if (![AccessKeyId, SecretAccessKey, Token].every(isPlain)) return undefined
  return { accessKeyId: String(AccessKeyId), secretAccessKey: String(SecretAccessKey), sessionToken: String(Token) }
}

/** As it may stand in a header. */
const isPlain = (value: unknown): boolean => typeof value === 'string' && /^[\x21-\x7e]{1,8192}$/.test(value)
