/** One request and its reply on the wire, and what a failing connection means in words. */
import type { IncomingMessage } from 'node:http'
import { type RequestOptions, request as httpsRequest } from 'node:https'
import { CliError, exitCodes } from './io.ts'

export const timeoutMs = 30_000
const mostBytes = 64 * 1024 * 1024

export function roundTrip(url: URL, options: RequestOptions, payload: Buffer | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(url, options, resolve)
    sent.setTimeout(timeoutMs, () => sent.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })))
    sent.once('error', reject)
    sent.end(payload)
  })
}

export async function textOf(reply: IncomingMessage, base: URL): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of reply as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > mostBytes) throw new CliError('the reply is larger than 64 MiB')
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof CliError ? error : unreachable(base, error)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** An empty body (204) is an empty object; what is not JSON is nothing. */
export function jsonOf(text: string): unknown {
  try {
    return text === '' ? {} : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Codes of OpenSSL's verification as Node names them, and of the name check. */
const untrusted = /CERT|SIGNATURE|ISSUER|ERR_TLS/

export function unreachable(base: URL, error: unknown): CliError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed'
  const what = untrusted.test(code)
    ? `${base.origin} has no certificate that is trusted here (${code})\n  what to do: name its roots with PURSER_CA_FILE, or its root's fingerprint with PURSER_CA_SHA256`
    : `can't reach ${base.origin} (${code})\n  what to do: is it running there? PURSER_ADDR or --addr says where`
  return new CliError(what, exitCodes.unreachable)
}
