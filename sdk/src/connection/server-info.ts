import { requestJson } from './request-json.ts'
import { PurserError } from '../errors.ts'
import { list, text, whole } from '../json/fields.ts'
import type { Transport } from './transport.ts'

/** The answer of `GET /api/v1/server`. Trusted because the server was verified. */
export type ServerInfo = Awaited<ReturnType<typeof readServerInfo>>

export async function readServerInfo(transport: Transport, signal: AbortSignal) {
  const request = { method: 'GET', path: '/api/v1/server', maxBytes: 64 * 1024 } as const
  const { json } = await requestJson(transport, request, 'its description', signal)
  const info = {
    version: text(json.version, 'version'),
    trustDomain: text(json.trustDomain, 'trustDomain'),
    issuer: text(json.issuer, 'issuer'),
    audiences: list(json.audiences, 'audiences', text),
    features: list(json.features, 'features', text),
    /** vkeys of all epochs. */
    logKeys: list(json.logKeys, 'logKeys', text),
    epoch: whole(json.epoch, 'epoch'),
  }
  // It becomes part of the names of logs and files.
  if (!/^[a-z0-9._-]{1,255}$/.test(info.trustDomain)) {
    throw new PurserError('bad_reply', "the server's trust domain is malformed")
  }
  return info
}
