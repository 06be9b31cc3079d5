/** Opens the store that the configuration names, brings its schema up to date where it may, and makes the first start. */
import { randomBytes as nodeRandomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { type RootKey, openRootKey } from '../keys/root-key.ts'
import { newToken, tokenKind } from '../names/token.ts'
import { type Database, isConnectionError } from '../store/database.ts'
import { readHead } from '../store/log.ts'
import { migrate, pendingMigrations } from '../store/migrate.ts'
import { checkPostgres, openPostgres } from '../store/postgres.ts'
import type { Logger } from '../telemetry/log.ts'

export type Opened = { db: Database; rootKey: RootKey }

/** A fault that prevents the start; its message says what to do. */
export class StartError extends Error {
  /** The message is ours and holds no secret. */
  readonly safeToLog = true
  constructor(detail: string) {
    super(detail)
    this.name = 'StartError'
  }
}

/**
 * @param waitSeconds how long to wait for a Postgres that cannot be reached
 * @throws errors of Postgres
 */
export async function openDatabase(
  { database, dataDir }: Pick<Config, 'database' | 'dataDir'>,
  log: Logger,
  waitSeconds = 0,
): Promise<Database> {
  if (database.kind === 'embedded') {
    // Loaded on demand: PostgreSQL needs none of it.
    const { openEmbedded } = await import('../store/embedded.ts')
    return openEmbedded({ dataDir: join(dataDir, 'db') })
  }
  const db = openPostgres({
    url: database.url.reveal(),
    applicationName: 'purser',
    onError: (error) => log.warn('store.connection_lost', { err: error }),
  })
  const until = performance.now() + waitSeconds * 1000
  for (;;) {
    try {
      await checkPostgres(db.knex)
      return db
    } catch (error) {
      if (!isConnectionError(error) || performance.now() > until) {
        await db.close()
        throw error
      }
      log.warn('store.unreachable', { err: error })
      await pause(retryMs)
    }
  }
}

/** Between two attempts to reach the database. */
const retryMs = 1_000

type Parts = { log: Logger; now?: () => Date; randomBytes?: (size: number) => Buffer }

/** @throws StartError, RootKeyError, errors of the store */
export async function openStore(
  config: Config,
  { log, now = () => new Date(), randomBytes = nodeRandomBytes }: Parts,
): Promise<Opened> {
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const rootKey = openRootKey(
    config.rootKey.kind === 'value' ? { kind: 'value', value: config.rootKey.value.reveal() } : config.rootKey,
    (note) => log.warn('root-key.folder', { note }),
  )
  const db = await openDatabase(config, log, config.database.kind === 'postgres' ? config.database.waitSeconds : 0)
  try {
    if (config.database.kind === 'embedded') {
      log.warn('store.embedded', {
        note: 'the embedded store survives this process, not a power loss; use DATABASE_URL in production',
      })
    }
    await bringUpToDate(db, config, log)
    const bootstrap = bootstrapToken(config, randomBytes)
    if (!(await readHead(db.knex))) await startFirst({ db, rootKey, config, bootstrap, now: now(), randomBytes })
    await refuseOther(db, config)
    return { db, rootKey }
  } catch (error) {
    await db.close()
    throw error
  }
}

type First = Opened & {
  config: Config
  bootstrap: ReturnType<typeof bootstrapToken>
  now: Date
  randomBytes: (size: number) => Buffer
}

async function startFirst({ config, bootstrap: { token, fromFile }, ...parts }: First): Promise<void> {
  // Loaded on demand: later starts need none of it.
  const { firstStart } = await import('./first-start.ts')
  const first = await firstStart({
    ...parts,
    trustDomain: config.trustDomain,
    issuer: config.publicUrl,
    crlUrl: config.crlUrl,
    nameConstraints: config.nameConstraints,
    lifetimes: config.keys,
    bootstrapToken: token,
  })
  if (first && !fromFile) writeToken(join(config.dataDir, 'bootstrap-token'), token)
}

async function bringUpToDate(db: Database, config: Config, log: Logger): Promise<void> {
  if (config.database.migrate === 'auto') {
    for (const name of await migrate(db)) log.info('store.migrated', { migration: name })
    return
  }
  const pending = await pendingMigrations(db)
  if (pending.length > 0)
    throw new StartError(`the database lacks migrations ${pending.join(', ')}: run \`purser migrate\``)
}

/** A server of another trust domain or issuer would issue foreign names from this database. */
async function refuseOther(db: Database, config: Config): Promise<void> {
  const head = await readHead(db.knex)
  if (head && head.trustDomain !== config.trustDomain) {
    throw new StartError(
      `the database belongs to trust domain ${head.trustDomain}, not to ${config.trustDomain}: set PURSER_TRUST_DOMAIN`,
    )
  }
  if (head && head.issuer !== config.publicUrl) {
    throw new StartError(`the database's issuer is ${head.issuer}, not ${config.publicUrl}: set PURSER_PUBLIC_URL`)
  }
}

function bootstrapToken(config: Config, randomBytes: (size: number) => Buffer): { token: string; fromFile: boolean } {
  if (config.bootstrapTokenFile === undefined) return { token: newToken('boot', randomBytes).token, fromFile: false }
  const token = readFileSync(config.bootstrapTokenFile, 'utf8').trim()
  if (tokenKind(token) !== 'boot') {
    throw new StartError('PURSER_BOOTSTRAP_TOKEN_FILE must hold `purser_boot_` and 32 random bytes in base64url')
  }
  return { token, fromFile: true }
}

function writeToken(path: string, token: string): void {
  if (existsSync(path)) rmSync(path)
  writeFileSync(path, `${token}\n`, { mode: 0o600 })
}
