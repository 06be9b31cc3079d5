/** Sets a random password with the server's root key and database. */
import { randomBytes } from 'node:crypto'
import { recoverOperator } from '../actions/operators/recover.ts'
import { sealSystem } from '../audit/seal.ts'
import { readConfig } from '../config.ts'
import { openKeyring } from '../keys/keyring.ts'
import { createPasswords } from '../operators/passwords.ts'
import { configuredRootKey, openOwnDatabase } from '../start/open-offline.ts'
import { markChanged } from '../store/changes.ts'
import { readWrappingKeys } from '../store/keys.ts'
import { appendItems, lockHead, newBatchId } from '../store/log.ts'
import { CliError, type Io, exitCodes } from './io.ts'

/** @returns the password: 160 random bits */
export async function recover(io: Io, name: string, note: string | undefined): Promise<string> {
  const config = readConfig({ env: io.env, readFile: io.readFile })
  const rootKey = configuredRootKey(config)
  const password = randomBytes(20).toString('base64url')
  const hash = await createPasswords().hash(password)
  return openOwnDatabase(config, async ({ db, head: { instanceId } }) => {
    // Proves that the caller has the root key: another key does not open the keyring.
    await openKeyring(rootKey, instanceId, await readWrappingKeys(db.knex))
    const now = new Date()
    await db.knex.transaction(async (tx) => {
      const recovered = await recoverOperator(tx, name, hash, now)
      if (!recovered) throw new CliError(`there is no enabled operator ${name}: nothing was changed`, exitCodes.usage)
      const sealed = sealSystem({ action: 'operator.recover', time: now, randomBytes, note }, [recovered.entry])
      const head = await lockHead(tx)
      await markChanged(tx, head, recovered.changed)
      const appended = await appendItems(tx, newBatchId(), head.epoch, sealed)
      if (appended.verdicts.size > 0) throw new CliError('the log refused the entry: nothing was changed')
    })
    await db.close()
    return password
  })
}
