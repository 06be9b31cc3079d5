/** Creates a new bootstrap token with the server's root key and database. It is recorded, and replaces the old one. */
import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { sealSystem } from '../audit/seal.ts'
import { readConfig } from '../config.ts'
import { openKeyring } from '../keys/keyring.ts'
import { newToken } from '../names/token.ts'
import { configuredRootKey } from '../start/open-offline.ts'
import { openDatabase } from '../start/open-store.ts'
import { replaceBootstrapToken } from '../actions/tokens/bootstrap.ts'
import type { Database } from '../store/database.ts'
import { readWrappingKeys } from '../store/keys.ts'
import { appendItems, lockHead, newBatchId, readHead } from '../store/log.ts'
import { createLogger } from '../telemetry/log.ts'
import { CliError, type Io, usageError } from './io.ts'

type Reissued = { expiresAt: string }

export async function reissue(io: Io, path: string, note: string | undefined): Promise<Reissued> {
  const config = readConfig({ env: io.env, readFile: io.readFile })
  const rootKey = configuredRootKey(config)
  const db = await openDatabase(config, createLogger({ level: 'warn', stream: io.stderr }))
  try {
    const head = await readHead(db.knex).catch(() => undefined)
    if (!head) throw usageError('the database is empty: run `purser serve` first')
    // Proves that the caller has the root key: another key does not open the keyring.
    await openKeyring(rootKey, head.instanceId, await readWrappingKeys(db.knex))
    const { token, expiresAt } = await record(db, note)
    rmSync(path, { force: true })
    writeFileSync(path, `${token}\n`, { mode: 0o600, flag: 'wx' })
    return { expiresAt }
  } finally {
    await db.close()
  }
}

function record(db: Pick<Database, 'knex'>, note: string | undefined): Promise<Reissued & { token: string }> {
  const now = new Date()
  const token = newToken('boot', randomBytes)
  return db.knex.transaction(async (tx) => {
    const { entry, expiresAt } = await replaceBootstrapToken(tx, token, now)
    const sealed = sealSystem({ action: 'bootstrap.create', time: now, randomBytes, note }, [entry])
    const head = await lockHead(tx)
    const appended = await appendItems(tx, newBatchId(), head.epoch, sealed)
    if (appended.verdicts.size > 0) throw new CliError('the log refused the entry: no token was created')
    return { token: token.token, expiresAt }
  })
}
