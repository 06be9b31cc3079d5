/** Opens the store for commands that run without a server. They never make a first start. */
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { openKeyring } from '../keys/keyring.ts'
import { type RootKey, openRootKey } from '../keys/root-key.ts'
import { StartError } from './open-store.ts'
import type { Database } from '../store/database.ts'
import { openEmbedded } from '../store/embedded.ts'
import { readWrappingKeys } from '../store/keys.ts'
import { type Head, readHead } from '../store/log.ts'
import { requireFit, openPostgres } from '../store/postgres.ts'

export type Offline = Awaited<ReturnType<typeof openOffline>>

/** Offline work may take longer than any request. */
const statementSeconds = 3600

async function openDatabase(config: Pick<Config, 'database' | 'dataDir'>): Promise<Database> {
  if (config.database.kind === 'embedded') return openEmbedded({ dataDir: join(config.dataDir, 'db') })
  const db = openPostgres({ url: config.database.url.reveal(), applicationName: 'purser offline', statementSeconds })
  return requireFit(db)
}

/** @throws RootKeyError */
export function configuredRootKey({ rootKey: source }: Pick<Config, 'rootKey'>): RootKey {
  // Never created here: a new root key cannot unwrap the keyring of a lost one.
  return openRootKey(
    source.kind === 'value' ? { kind: 'value', value: source.value.reveal() } : { ...source, create: false },
  )
}

/**
 * Opens the database and checks its trust domain; closes it again where `more` throws.
 * @throws StartError, StoreLocked, errors of Postgres
 */
export async function openOwnDatabase<T>(
  config: Config,
  more: (opened: { db: Database; head: Head }) => Promise<T>,
): Promise<T> {
  const db = await openDatabase(config)
  try {
    const head = await readHead(db.knex).catch(() => undefined)
    if (!head) throw new StartError('the database is empty: run `purser serve` once')
    if (head.trustDomain !== config.trustDomain) {
      throw new StartError(`the database belongs to trust domain ${head.trustDomain}, not to ${config.trustDomain}`)
    }
    return await more({ db, head })
  } catch (error) {
    await db.close()
    throw error
  }
}

/** @throws StartError, RootKeyError, StoreLocked, errors of Postgres */
export async function openOffline(config: Config) {
  const rootKey = configuredRootKey(config)
  const { crlUrl, nameConstraints } = config
  return openOwnDatabase(config, async ({ db, head }) => ({
    db,
    head,
    crlUrl,
    nameConstraints,
    keyring: await openKeyring(rootKey, head.instanceId, await readWrappingKeys(db.knex)),
  }))
}
