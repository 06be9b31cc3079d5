import { isObject } from '../verify/canonical.ts'

/** The members of a JSON object; undefined for any other text. */
export function membersOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The claims of a compact JWS, unverified; undefined for any other text. */
export function claimsOf(token: string): Record<string, unknown> | undefined {
  const [, payload] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token) ?? []
  return payload === undefined ? undefined : membersOf(Buffer.from(payload, 'base64url').toString('utf8'))
}
