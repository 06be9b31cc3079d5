/**
 * Asks a port of this host which server it is. The server is not verified: the two requests are public, and the answer
 * only goes into a finding.
 */
import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { isMembers } from '../../json/members.ts'

export type Answering = {
  trustDomain: string
  version: string
  /** Names of the checks of /readyz that fail. */
  failing: string[]
}

const timeoutMs = 3000
const maxBytes = 65_536

/** Undefined when no Purser server answers. */
export async function identifyServer(
  { host, port }: { host: string; port: number },
  secure: boolean,
): Promise<Answering | undefined> {
  const target = { host: { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host, port, secure }
  const info = await getJson(target, '/api/v1/server')
  const { trustDomain, version } = info ?? {}
  if (typeof trustDomain !== 'string' || typeof version !== 'string') return undefined
  const { checks } = (await getJson(target, '/readyz')) ?? {}
  return { trustDomain, version, failing: Array.isArray(checks) ? checks.flatMap(failingName) : ['/readyz'] }
}

const failingName = (check: unknown): string[] =>
  isMembers(check) && check.ok !== true && typeof check.name === 'string' ? [check.name] : []

function getJson(
  { host, port, secure }: { host: string; port: number; secure: boolean },
  path: string,
): Promise<Record<string, unknown> | undefined> {
  return new Promise((resolve) => {
    const options = { host, port, path, agent: false as const, signal: AbortSignal.timeout(timeoutMs) }
    const onReply = (reply: IncomingMessage): void => void readJson(reply).then(resolve, () => resolve(undefined))
    const outgoing = secure
      ? tlsRequest({ ...options, rejectUnauthorized: false }, onReply)
      : plainRequest(options, onReply)
    outgoing.once('error', () => resolve(undefined))
    outgoing.end()
  })
}

async function readJson(reply: AsyncIterable<Buffer>): Promise<Record<string, unknown> | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of reply) {
    size += chunk.length
    if (size > maxBytes) return undefined
    chunks.push(chunk)
  }
  const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  return isMembers(value) ? value : undefined
}
