/** A whole Purser for front-door tests: real HTTP, a real store, an issuer whose tokens it attests. */
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { type Config, readConfig } from '../../src/config.ts'
import { openStore } from '../../src/start/open-store.ts'
import { type Running, start } from '../../src/start/server.ts'
import type { Knex } from '../../src/store/database.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { testDatabase } from './database.ts'
import { copyEmbedded } from './embedded-template.ts'
import { type Earlier, copyFirstStart } from './first-start.ts'
import { type Client, httpsFetch } from './https-fetch.ts'
import { type StoreName, frontDoorStore } from './stores.ts'

export const audience = 'https://purser.example.org'
export const trustDomain = 'example.org'

export type Answer = {
  status: number
  headers: Headers
  body: Record<string, unknown> & { code?: string }
  text: string
}

export type CallOptions = {
  token?: string
  headers?: Record<string, string>
  raw?: string | Buffer
  /** Over TLS only. */
  client?: Client
  agent?: Agent
}

export type TestPurser = Running & {
  config: Config
  /** The server's own connections, for state that no route shows. */
  knex: Knex
  /** The admin API token. */
  admin: string
  dataDir: string
  /** Lines of the server's own log so far. */
  logs: string[]
  call(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer>
  /** As the admin; fails unless the status is 2xx. */
  asAdmin(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

export type Options = {
  store?: StoreName
  /** Further settings, by their environment names. */
  env?: Record<string, string>
  /** TLS under Purser's own CA, or a given certificate's, as in production; plain HTTP on loopback otherwise. */
  tls?: boolean | { roots: string }
  /** A clock of the test. */
  now?: () => Date
  /** An existing database, for a second replica or a restart; `rootKey` and `admin` belong to it. */
  existing?: { url?: string; rootKey: string; dataDir?: string; admin: string }
}

/** The clock of a first start that is copied: a test's own clock may have begun before it, and keys count from then. */
const aMinuteAgo = (): Date => new Date(Date.now() - 60_000)

/** Settings that a first start does not read. */
const laterSettings =
  /^PURSER_(LIMIT_|FETCH_ALLOW|TRUSTED_PROXIES|ADMIN_LISTEN|OPERATORS_URL|SESSION_IDLE_SECONDS|DRAIN_SECONDS|BUNDLE_REFRESH_SECONDS)/

/** Whether a first start of some minutes ago, without these settings, is equivalent. */
const isOrdinary = ({ env = {}, now }: Options): boolean =>
  (!now || Math.abs(now().getTime() - Date.now()) < 1_000) && Object.keys(env).every((name) => laterSettings.test(name))

export async function startPurser(options: Options = {}): Promise<TestPurser> {
  const dataDir = options.existing?.dataDir ?? (await mkdtemp(join(tmpdir(), 'purser-test-')))
  const { store = frontDoorStore } = options
  const earlier: Earlier | undefined =
    options.existing ??
    (isOrdinary(options)
      ? await copyFirstStart(store, dataDir, (existing) => startPurser({ existing, now: aMinuteAgo }))
      : undefined)
  const database = earlier || store === 'embedded' ? undefined : await testDatabase()
  const url = earlier?.url ?? database?.url
  const rootKey = earlier?.rootKey ?? randomBytes(32).toString('base64')
  const embedded = join(dataDir, 'db')
  if (url === undefined && !existsSync(embedded)) await copyEmbedded(embedded)
  const logs: string[] = []
  const config = readConfig({
    env: {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_PUBLIC_URL: audience,
      PURSER_LISTEN: '127.0.0.1:0',
      ...(!options.tls && { PURSER_INSECURE_HTTP: 'loopback' }),
      PURSER_DATA_DIR: dataDir,
      PURSER_DRAIN_SECONDS: '1',
      PURSER_ROOT_KEY: rootKey,
      ...(url !== undefined && { DATABASE_URL: url, PURSER_MIGRATE: 'check' }),
      ...options.env,
    },
    readFile: (path) => readFileSync(path, 'utf8'),
  })
  const log = createLogger({ level: 'debug', stream: { write: (line: string) => logs.push(line) } })
  const clock = options.now && { now: options.now }
  const opened = await openStore(config, { log, ...clock })
  const running = await start(config, { log, opened, ...clock })

  const call: TestPurser['call'] = async (method, path, body, { token, headers, raw, client, agent } = {}) => {
    const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body))
    const init = {
      method,
      headers: {
        ...(payload !== undefined && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(payload !== undefined && { body: typeof payload === 'string' ? payload : new Uint8Array(payload) }),
    }
    const roots = () =>
      typeof options.tls === 'object' ? options.tls.roots : readFileSync(join(dataDir, 'ca.pem'), 'utf8')
    const response = await (options.tls
      ? httpsFetch(running.url + path, { ...init, ca: roots(), ...(client && { client }), ...(agent && { agent }) })
      : fetch(running.url + path, init))
    const text = await response.text()
    const isObject = /[/+]json(?:;|$)/.test(response.headers.get('content-type') ?? '') && text.startsWith('{')
    return { status: response.status, headers: response.headers, text, body: isObject ? JSON.parse(text) : {} }
  }

  let admin = earlier?.admin ?? ''
  if (admin === '') {
    const bootstrap = (await readFile(join(dataDir, 'bootstrap-token'), 'utf8')).trim()
    const answer = await call('POST', '/api/v1/bootstrap', undefined, { token: bootstrap })
    admin = String(answer.body.token)
  }

  return {
    ...running,
    config,
    knex: opened.db.knex,
    admin,
    dataDir,
    logs,
    call,
    async asAdmin(method, path, body, headers) {
      const answer = await call(method, path, body, { token: admin, ...(headers && { headers }) })
      if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`)
      return answer
    },
    async stop() {
      await running.stop()
      await database?.drop()
      await earlier?.drop?.()
      if (!options.existing?.dataDir) await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** A second server on the same database, with the same root key. */
export function startReplica(
  purser: TestPurser,
  options: Omit<Options, 'existing' | 'store'> = {},
): Promise<TestPurser> {
  const { database, rootKey } = purser.config
  if (database.kind !== 'postgres' || rootKey.kind !== 'value') throw new Error('a replica needs store: postgres')
  const existing = { url: database.url.reveal(), rootKey: rootKey.value.reveal(), admin: purser.admin }
  return startPurser({ ...options, existing })
}
