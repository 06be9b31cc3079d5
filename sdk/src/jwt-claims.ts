import { isObject } from './verify/canonical.ts'

/** The claims of a compact JWS, unverified; undefined where it isn't one. */
export function claimsOf(token: string): Record<string, unknown> | undefined {
  const [, payload] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token) ?? []
  if (payload === undefined) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return isObject(claims) ? claims : undefined
  } catch {
    return undefined
  }
}
