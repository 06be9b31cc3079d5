/**
 * The session of a browser: a cookie that scripts cannot read (RFC 6265bis). A browser sends it by itself, so it counts
 * only in requests that a page of this server makes. The cookie is not sent with requests of other sites (SameSite), and a
 * page of another origin can neither set the header `Purser-Csrf` nor forge `Sec-Fetch-Site` and `Origin`.
 */
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { refuse } from '../errors.ts'

/** The prefix binds the cookie to this host, and to TLS: no other host and no plain connection can set it. */
const name = '__Host-purser'
const attributes = 'Path=/; Secure; HttpOnly; SameSite=Strict'

export const sessionCookie = (token: string, maxAgeSeconds: number): Record<string, string> => ({
  'set-cookie': `${name}=${token}; ${attributes}; Max-Age=${maxAgeSeconds}`,
})

export const endedCookie: Record<string, string> = sessionCookie('', 0)

/** The values of the cookie; more than one where another program added it. */
function cookiesOf({ headers: { cookie = '' } }: IncomingMessage): string[] {
  return cookie.split(';').flatMap((pair) => {
    const [key = '', ...value] = pair.trim().split('=')
    return key === name ? [value.join('=')] : []
  })
}

/** The token of the cookie, without a check of its origin. For the log. */
export const cookieToken = (message: IncomingMessage): string | undefined => cookiesOf(message)[0]

/**
 * The token of the cookie, if the request has one.
 * @throws Refusal `bad_authorization` for two cookies, `forbidden` for a request that no page of this server makes
 */
export function ownCookieToken(message: IncomingMessage): string | undefined {
  const [token, ...more] = cookiesOf(message)
  if (token === undefined) return undefined
  if (more.length > 0) throw refuse('bad_authorization', { detail: 'the session cookie is there twice' })
  const changesNothing = message.method === 'GET' || message.method === 'HEAD'
  if (changesNothing ? isForeign(message) : !isOwn(message)) {
    throw refuse('forbidden', { detail: 'the session cookie counts only in requests that a page of this server makes' })
  }
  return token
}

/** Whether the browser says that a page of another origin makes the request. A client that is no browser says nothing. */
export function isForeign(message: IncomingMessage): boolean {
  const { 'sec-fetch-site': site, origin } = message.headers
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  return origin !== undefined && origin !== originOf(message)
}

/** Whether the browser says that a page of this origin makes the request. */
function isOwn(message: IncomingMessage): boolean {
  const { 'sec-fetch-site': site, origin } = message.headers
  const isSameOrigin = site === undefined ? origin !== undefined : site === 'same-origin'
  return isSameOrigin && !isForeign(message) && message.headers['purser-csrf'] === '1'
}

const originOf = ({ socket, headers: { host = '' } }: IncomingMessage): string =>
  `${socket instanceof TLSSocket ? 'https' : 'http'}://${host.toLowerCase()}`
