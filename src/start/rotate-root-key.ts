/**
 * Wraps the keyring with another root key, in one transaction, while no server runs. A running server would wrap its next
 * wrapping key with the older root key. After a crash exactly one of the two root keys works.
 */
import { randomBytes } from 'node:crypto'
import { sealSystem } from '../audit/seal.ts'
import type { Config } from '../config.ts'
import { isMembers } from '../json/members.ts'
import { openKeyring, underRootKey } from '../keys/keyring.ts'
import { type RootKey, openRootKey } from '../keys/root-key.ts'
import { excludeServers } from '../store/database-server.ts'
import type { Database, Knex } from '../store/database.ts'
import { readJobState, writeJobState } from '../store/jobs.ts'
import { lockKeys, readWrappingKeys, rewrapWrappingKey } from '../store/keys.ts'
import { appendItems, lockHead, newBatchId } from '../store/log.ts'
import { configuredRootKey, openOwnDatabase } from './open-offline.ts'
import { StartError } from './open-store.ts'

export type RootKeyRotated = { from: string; to: string; rewrapped: number }

/** For doctor: the last rotation, by fingerprints and time. */
const stateName = 'root-key'

/** @throws StartError while a server runs, or where neither key is the database's; RootKeyError */
export async function rotateRootKey(
  config: Config,
  parts: { newKeyFile: string; reason: string; now: Date },
): Promise<RootKeyRotated> {
  const to = openRootKey({ kind: 'file', path: parts.newKeyFile, create: false })
  const from = configuredRootKey(config)
  return openOwnDatabase(config, async ({ db }) => {
    const done = await db.knex.transaction((tx) => rewrapAll(tx, from, to, parts))
    await db.close()
    return done
  })
}

async function rewrapAll(
  tx: Knex.Transaction,
  from: RootKey,
  to: RootKey,
  { reason, now }: { reason: string; now: Date },
): Promise<RootKeyRotated> {
  if (!(await excludeServers(tx))) {
    throw new StartError('a server has this database open: stop every replica, then run this again')
  }
  await lockKeys(tx)
  const rows = await readWrappingKeys(tx)
  const others = rows.filter((row) => row.rootKeyId !== to.id)
  // A second run after a crash of unknown outcome.
  if (others.length === 0) return { from: from.id, to: to.id, rewrapped: 0 }
  const stranger = others.find((row) => row.rootKeyId !== from.id)
  if (stranger) {
    throw new StartError(
      `the keyring is wrapped by root key ${stranger.rootKeyId}, which is neither the configured key nor the new one`,
    )
  }
  const { instanceId, epoch } = await lockHead(tx)
  for (const row of others) await rewrapWrappingKey(tx, await underRootKey(from, to, instanceId, row))
  await openKeyring(to, instanceId, await readWrappingKeys(tx))
  await writeJobState(tx, stateName, { from: from.id, to: to.id, at: now.toISOString() })
  const entry = {
    resource: { kind: 'root-key', id: to.id },
    detail: { from: from.id, rewrapped: others.map((row) => row.id) },
  }
  const sealed = sealSystem({ action: 'root-key.rotate', time: now, randomBytes, note: reason }, [entry])
  const { verdicts } = await appendItems(tx, newBatchId(), epoch, sealed)
  if (verdicts.size > 0) throw new StartError('the log is closed, and nothing was changed: run `purser doctor`')
  return { from: from.id, to: to.id, rewrapped: others.length }
}

/** The last rotation in the database. */
export async function rotatedRootKey(
  knex: Database['knex'],
): Promise<{ from: string; to: string; at: string } | undefined> {
  const state = await readJobState(knex, stateName)
  if (!isMembers(state)) return undefined
  const { from, to, at } = state
  return typeof from === 'string' && typeof to === 'string' && typeof at === 'string' ? { from, to, at } : undefined
}
