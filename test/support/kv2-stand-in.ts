/**
 * A stand-in for a KV version 2 mount of Vault or OpenBao: real HTTP and the replies of their API (envelopes, 404
 * with and without a body of its own, LIST as GET ?list=true), without their storage.
 */
import { type IncomingMessage, type ServerResponse, createServer as createPlain } from 'node:http'
import { createServer as createTls } from 'node:https'
import type { AddressInfo } from 'node:net'

type Version = { data: Record<string, unknown>; deletion_time?: string; destroyed?: true }

export type Kv2StandIn = {
  url: string
  token: string
  /** By name; versions from 1 on. A text in place of an object is sent unchanged. */
  secrets: Map<string, Version[]>
  /** Names that the token may not read. */
  denied: Set<string>
  /** Replies that precede all others, each once. */
  next: { status: number; headers?: Record<string, string> }[]
  requests: string[]
  stop: () => Promise<void>
}

const created = '2026-01-01T00:00:00.000000001Z'

export async function startKv2(
  options: { mount?: string; tls?: { key: string; cert: string }; namespace?: string } = {},
): Promise<Kv2StandIn> {
  const { mount = 'secret', tls, namespace } = options
  const token = 'hvs.stand-in-for-tests'
  const secrets: Kv2StandIn['secrets'] = new Map()
  const denied: Kv2StandIn['denied'] = new Set()
  const next: Kv2StandIn['next'] = []
  const requests: string[] = []

  function answer(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
    response.writeHead(status, { 'cache-control': 'no-store', 'content-type': 'application/json', ...headers })
    response.end(`${JSON.stringify(body)}\n`)
  }
  const envelope = (data: object): object => ({
    request_id: '6a1f0f5e-0000-4000-8000-000000000000',
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data,
    wrap_info: null,
    warnings: null,
    auth: null,
  })
  const metadataOf = (stored: Version, version: number): object => ({
    created_time: created,
    custom_metadata: null,
    deletion_time: stored.deletion_time ?? '',
    destroyed: stored.destroyed ?? false,
    version,
  })

  function list(folder: string): string[] {
    const below = [...secrets.keys()].filter((name) => name.startsWith(folder)).map((name) => name.slice(folder.length))
    return [...new Set(below.map((name) => name.replace(/\/.*$/, '/')))].sort()
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://stand-in')
    requests.push(`${request.method} ${request.url}`)
    const override = next.shift()
    if (override) return answer(response, override.status, { errors: [] }, override.headers)
    const isKnown = request.headers['x-vault-namespace'] === namespace
    if (request.headers['x-vault-token'] !== token || !isKnown) {
      return answer(response, 403, { errors: ['permission denied'] })
    }
    const [, engine = '', kind = '', path = ''] = /^\/v1\/([^/]+)\/([^/]+)\/(.*)$/.exec(url.pathname) ?? []
    if (engine !== mount || request.method !== 'GET') return answer(response, 404, { errors: [] })
    const name = path.split('/').map(decodeURIComponent).join('/')
    if (url.searchParams.get('list') === 'true' && kind === 'metadata') {
      if (denied.has(name)) return answer(response, 403, { errors: ['permission denied'] })
      const keys = list(name)
      return keys.length > 0 ? answer(response, 200, envelope({ keys })) : answer(response, 404, { errors: [] })
    }
    if (denied.has(name)) return answer(response, 403, { errors: ['permission denied'] })
    const versions = secrets.get(name)
    if (!versions) return answer(response, 404, { errors: [] })
    if (kind === 'metadata') {
      const all = versions.map((version, n) => [String(n + 1), metadataOf(version, n + 1)])
      const rest = {
        cas_required: false,
        created_time: created,
        current_version: versions.length,
        custom_metadata: null,
      }
      const more = { delete_version_after: '0s', max_versions: 0, oldest_version: 0, updated_time: created }
      return answer(response, 200, envelope({ ...rest, ...more, versions: Object.fromEntries(all) }))
    }
    const number = Number(url.searchParams.get('version') ?? 0) || versions.length
    const version = versions[number - 1]
    if (kind !== 'data' || !version) return answer(response, 404, { errors: [] })
    const isGone =
      version.destroyed || (version.deletion_time !== undefined && Date.parse(version.deletion_time) <= Date.now())
    const metadata = metadataOf(version, number)
    return answer(response, isGone ? 404 : 200, envelope({ data: isGone ? null : version.data, metadata }))
  }

  const server = tls ? createTls(tls, handle) : createPlain(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    token,
    secrets,
    denied,
    next,
    requests,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
