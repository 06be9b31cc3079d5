/**
 * A new epoch of the log, after a rollback of the database or a state that cannot be proved. Its first entry names both
 * heads: the database's, and the newest from elsewhere. Entries between them may be lost, so everything that they could
 * have issued ends: keys are replaced, sessions and tokens end. Revocations, blocks and spent claims stay. Issuing stays
 * closed until an operator has reviewed them.
 */
import { replaceBootstrapToken } from '../actions/tokens/bootstrap.ts'
import type { EntryPart } from '../audit/entry.ts'
import type { HeadEvidence } from '../audit/head-evidence.ts'
import { originOf } from '../audit/log.ts'
import { sealSystem } from '../audit/seal.ts'
import { describeKey } from '../keys/apply-changes.ts'
import { createKeys, logVkey } from '../keys/keys.ts'
import { type Lifetimes, endlessFrom } from '../keys/lifetimes.ts'
import { type KeyMaker, newLogKey } from '../keys/new-key.ts'
import { type KeyChanges, type Rotator, rotateRoot, rotateScheduled } from '../keys/rotate.ts'
import { newToken } from '../names/token.ts'
import { markChanged } from '../store/changes.ts'
import { excludeServers } from '../store/database-server.ts'
import { endAllAccess } from '../store/end-access.ts'
import { startEpoch } from '../store/epochs.ts'
import { insertKey, lockKeys, readKeys, setLastSize, updateKey } from '../store/keys.ts'
import { appendItems, lockHead, newBatchId } from '../store/log.ts'
import type { KeyRow } from '../store/rows.ts'
import { type KnownEpoch, endEpoch, readHeads } from './ended-epoch.ts'
import type { Offline } from './open-offline.ts'
import { StartError } from './open-store.ts'

type Parts = Offline & {
  /** Signed heads from outside the database, in any order. */
  evidence: readonly HeadEvidence[]
  /** Continues in spite of a fork. */
  acceptFork?: boolean
  reason: string
  lifetimes: Lifetimes
  now: Date
  randomBytes: (size: number) => Buffer
}

export type NewEpoch = Awaited<ReturnType<typeof newEpoch>>

/** @throws StartError while a server runs, or for a head that cannot be read; ForkedLog */
export async function newEpoch(parts: Parts) {
  const { db, keyring, nameConstraints, now, randomBytes, reason } = parts
  const { trustDomain } = parts.head
  const heads = readHeads(parts.evidence, trustDomain)
  const epoch = Math.max(parts.head.epoch, heads[0]?.epoch ?? 0) + 1
  const origin = originOf(trustDomain, epoch)
  const maker: KeyMaker = { keyring, trustDomain, nameConstraints, randomBytes }
  const logKey = newLogKey(maker, endlessFrom(now), epoch, 0)
  // Outside the transaction: an RSA key takes longer to generate than a transaction may be idle.
  const rows = await readKeys(db.knex)
  const changes = await replaceKeys(rows, parts, maker)

  return db.knex.transaction(async (tx) => {
    if (!(await excludeServers(tx))) {
      throw new StartError('a server has this database open: stop every replica, then run this again')
    }
    await lockKeys(tx)
    if ((await readKeys(tx)).length !== rows.length)
      throw new StartError('keys changed in the meantime: run this again')
    const ended = await endAllAccess(tx, 'a new epoch of the log began', now)
    const boot = newToken('boot', randomBytes)
    const bootstrap = await replaceBootstrapToken(tx, boot, now)
    for (const row of [logKey, ...changes.created]) await insertKey(tx, row)
    for (const row of changes.withdrawn) await updateKey(tx, row)

    const old = await lockHead(tx)
    const oldLogKeys = rows.filter((row) => row.kind === 'log' && row.epoch === old.epoch && row.toSize === undefined)
    for (const row of oldLogKeys) await setLastSize(tx, row.id, old.size)
    const before = await endEpoch(tx, old, rows, { heads, keyring, acceptFork: parts.acceptFork ?? false })
    await startEpoch(tx, { epoch, origin, reason, previousNote: before.previousNote, startedAt: now })
    await markChanged(tx, old, [
      ...[logKey, ...changes.created, ...changes.withdrawn, ...oldLogKeys].map(({ id }) => changedKey(id)),
      ...ended.apiTokens.map((id) => ({ table: 'api_token', where: { id } })),
    ])

    const entries: EntryPart[] = [
      {
        resource: { kind: 'epoch', id: String(epoch) },
        detail: { origin, reason, vkey: logVkey(logKey, origin), ended, previous: before.detail },
      },
      { action: 'key.create', ...describeKey(logKey, origin) },
      ...changes.created.map((row) => ({ action: 'key.create' as const, ...describeKey(row) })),
      ...changes.withdrawn.map((row) => ({ action: 'key.withdraw' as const, ...describeKey(row) })),
      { action: 'bootstrap.create', ...bootstrap.entry },
    ]
    const sealed = sealSystem({ action: 'log.epoch', time: now, randomBytes, note: reason }, entries)
    const { verdicts } = await appendItems(tx, newBatchId(), epoch, sealed)
    if (verdicts.size > 0) throw new StartError('the log took no entry, and nothing was changed: run `purser doctor`')
    return {
      epoch,
      vkey: logVkey(logKey, origin),
      /** The epoch before: as the database has it, and the newest head from elsewhere. */
      previous: {
        epoch: old.epoch,
        size: old.size,
        ...(before.newest && { known: placeOf(before.newest) }),
        forks: before.forks.map(placeOf),
        ...(old.closed && { closed: old.closed.reason }),
      },
      ended,
      keys: { created: [logKey, ...changes.created], withdrawn: changes.withdrawn },
      /** Shown once, for the operator who reviews. */
      bootstrapToken: boot.token,
      bootstrapExpiresAt: bootstrap.expiresAt,
    }
  })
}

const placeOf = ({ where, head }: KnownEpoch) => ({ where, size: head.size })

const changedKey = (id: string) => ({ table: 'signing_key', where: { id } })

/**
 * Replaces every key that may have signed lost credentials, as if it were compromised. The MAC key stays: it signs nothing
 * that leaves, and blocked instances and spent proofs are found by it.
 */
async function replaceKeys(rows: readonly KeyRow[], parts: Parts, maker: KeyMaker): Promise<KeyChanges> {
  const { now, lifetimes, keyring, crlUrl } = parts
  const rotator: Rotator = {
    maker,
    keys: createKeys(keyring),
    lifetimes,
    crlUrl: (keyId) => `${crlUrl}/crl/${keyId}`,
  }
  const ca = await rotateRoot(rows, true, now, rotator)
  const jwt = await rotateScheduled(['jwt-es256', 'jwt-rs256'], rows, true, now, rotator)
  return { created: [...ca.created, ...jwt.created], retired: [], withdrawn: [...ca.withdrawn, ...jwt.withdrawn] }
}
