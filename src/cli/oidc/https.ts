/** HTTPS requests to an issuer, under the roots that its attestor names. Redirects are not followed. */
import { request } from 'node:https'
import { buffer } from 'node:stream/consumers'
import type { CustomFetch, CustomFetchOptions } from 'openid-client'
import { CliError, codeOf, exitCodes } from '../io.ts'

/** @param caPem default: the roots of Node.js */
export function createFetch(caPem: string | undefined): CustomFetch {
  return (url, options) =>
    new Promise((resolve, reject) => {
      const { method, headers, body, signal } = options
      const trust = caPem === undefined ? {} : { ca: caPem }
      const outgoing = request(url, { method, headers, ...trust, ...(signal && { signal }) }, (reply) => {
        const { statusCode: status = 0, headersDistinct } = reply
        const pairs = Object.entries(headersDistinct).flatMap(([name, values = []]) =>
          values.map((value): [string, string] => [name, value]),
        )
        buffer(reply).then((content) => resolve(new Response(content, { status, headers: pairs })), reject)
      })
      outgoing.once('error', (error) => reject(signal?.aborted ? error : unreachable(url, error)))
      outgoing.end(textOf(body))
    })
}

/** The requests of a public client have a form as their body, or none. */
function textOf(body: CustomFetchOptions['body']): string | undefined {
  if (body === null || body === undefined) return undefined
  if (typeof body === 'string') return body
  if (body instanceof URLSearchParams) return body.toString()
  throw new Error('a request to an issuer has a form as its body')
}

function unreachable(url: string, error: Error): CliError {
  const { origin } = new URL(url)
  return new CliError(
    `the issuer cannot be reached at ${origin} (${codeOf(error) ?? error.message}): check the network, and its roots (caPem of the attestor)`,
    exitCodes.unreachable,
  )
}
