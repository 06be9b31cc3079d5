/**
 * The way on from a log that can't go on: a database that was put back, or whose newest state nobody can vouch for. A new
 * epoch begins with both heads, the one in the database and the newest that is known elsewhere, and the gap between them
 * is cut off whole: whatever was given out in it, by keys, sessions or tokens that this database may have forgotten, is
 * refused from here on. What was revoked, blocked and used up before stays so, and issuing stays closed until an operator
 * has looked at it.
 */
import type { EntryPart } from '../audit/entry.ts'
import type { HeadEvidence } from '../audit/head-evidence.ts'
import { originOf } from '../audit/log.ts'
import { makeEntry, seal } from '../audit/seal.ts'
import { type KnownEpoch, endEpoch, readKnown } from './ended-epoch.ts'
import { describeKey } from '../keys/describe-key.ts'
import { createKeys, logVkey } from '../keys/keys.ts'
import { type Lifetimes, endlessFrom } from '../keys/lifetimes.ts'
import { type KeyMaker, newLogKey } from '../keys/new-key.ts'
import { type KeyChanges, type Rotator, rotateRoot, rotateScheduled } from '../keys/rotate.ts'
import { newId } from '../names/id.ts'
import { newToken } from '../names/token.ts'
import type { Offline } from './open-offline.ts'
import { StartError } from './open-store.ts'
import { replaceBootstrapToken } from '../operators/bootstrap.ts'
import { markChanged } from '../store/changes.ts'
import { type EndedAccess, endAllAccess } from '../store/end-access.ts'
import { insertKey, lockKeys, readKeys, setLastSize, updateKey } from '../store/keys.ts'
import { startEpoch } from '../store/epochs.ts'
import { appendItems, lockHead, newBatchId } from '../store/log.ts'
import { excludeServers } from '../store/server-lock.ts'
import type { KeyRow } from '../store/rows.ts'

type Parts = Offline & {
  /** Heads that are known from outside of the database, newest or not. */
  known: readonly HeadEvidence[]
  /** Goes on although a signed head is over other entries than the database's. */
  acceptFork?: boolean
  reason: string
  lifetimes: Lifetimes
  now: Date
  randomBytes: (size: number) => Buffer
}

export type NewEpoch = {
  epoch: number
  vkey: string
  /** The older log as the database has it, and as it is known elsewhere. */
  previous: {
    epoch: number
    size: number
    known?: { where: string; size: number }
    forks: { where: string; size: number }[]
    /** Why a replica had closed the log for all. */
    closed?: string
  }
  ended: EndedAccess
  keys: { created: KeyRow[]; withdrawn: KeyRow[] }
  /** Shown once: the way in for whoever reviews. */
  bootstrapToken: string
  bootstrapExpiresAt: string
}

/** @throws StartError where a server is running, or a head can't be read; ForkedLog */
export async function newEpoch(parts: Parts): Promise<NewEpoch> {
  const { db, keyring, nameConstraints, now, randomBytes, reason } = parts
  const { trustDomain } = parts.head
  const known = readKnown(parts.known, trustDomain)
  const epoch = Math.max(parts.head.epoch, known[0]?.epoch ?? 0) + 1
  const origin = originOf(trustDomain, epoch)
  const maker: KeyMaker = { keyring, trustDomain, ...(nameConstraints && { nameConstraints }), randomBytes }
  const logKey = newLogKey(maker, endlessFrom(now), epoch, 0)
  // Before the transaction, which must not idle: making an RSA key takes its time.
  const rows = await readKeys(db.knex)
  const changes = await replaceKeys(rows, parts, maker)

  return db.knex.transaction(async (tx) => {
    if (!(await excludeServers(tx))) {
      throw new StartError('a server has this database open: end every replica first, then run this again')
    }
    await lockKeys(tx)
    if ((await readKeys(tx)).length !== rows.length) throw new StartError('keys were changed meanwhile: run this again')
    const ended = await endAllAccess(tx, 'a new epoch of the log began', now)
    const boot = newToken('boot', randomBytes)
    const bootstrap = await replaceBootstrapToken(tx, boot, now)
    for (const row of [logKey, ...changes.created]) await insertKey(tx, row)
    for (const row of changes.withdrawn) await updateKey(tx, row)

    const old = await lockHead(tx)
    const oldLogKeys = rows.filter((row) => row.kind === 'log' && row.epoch === old.epoch && row.toSize === undefined)
    for (const row of oldLogKeys) await setLastSize(tx, row.id, old.size)
    const before = await endEpoch(tx, old, rows, { known, keyring, acceptFork: parts.acceptFork ?? false })
    await startEpoch(tx, { epoch, origin, reason, previousNote: before.previousNote, now })
    await markChanged(tx, old.revision + 1, [
      ...[logKey, ...changes.created, ...changes.withdrawn, ...oldLogKeys].map(({ id }) => changedKey(id)),
      ...ended.apiTokens.map((id) => ({ table: 'api_token', where: { id } })),
    ])

    const entries: EntryPart[] = [
      {
        resource: { kind: 'epoch', id: String(epoch) },
        detail: {
          origin,
          reason,
          vkey: logVkey(logKey, origin),
          ended,
          previous: before.detail,
        },
      },
      { action: 'key.create', ...describeKey(logKey, origin) },
      ...changes.created.map((row) => ({ action: 'key.create' as const, ...describeKey(row) })),
      ...changes.withdrawn.map((row) => ({ action: 'key.withdraw' as const, ...describeKey(row) })),
      { action: 'bootstrap.create', ...bootstrap.entry },
    ]
    const open = {
      requestId: newId('req', randomBytes),
      action: 'log.epoch' as const,
      time: now,
      actor: { kind: 'system' as const, note: reason },
    }
    const sealed = entries.map((part) => seal(makeEntry(open, part), randomBytes))
    const { verdicts } = await appendItems(tx, newBatchId(), epoch, sealed)
    if (verdicts.size > 0) throw new StartError('the log took no entry: nothing was changed')
    return {
      epoch,
      vkey: logVkey(logKey, origin),
      previous: {
        epoch: old.epoch,
        size: old.size,
        ...(before.newest && { known: placeOf(before.newest) }),
        forks: before.forks.map(placeOf),
        ...(old.closed && { closed: old.closed.reason }),
      },
      ended,
      keys: { created: [logKey, ...changes.created], withdrawn: changes.withdrawn },
      bootstrapToken: boot.token,
      bootstrapExpiresAt: bootstrap.expiresAt,
    }
  })
}

const placeOf = ({ where, head }: KnownEpoch) => ({ where, size: head.size })

const changedKey = (id: string) => ({ table: 'signing_key', where: { id } })

/**
 * Every key that the lost time may have been signed with, as if it were compromised: nobody knows what it signed. Not the
 * MAC key, which signs nothing that leaves: instances that are kept out and proofs that were used are known by it.
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
  return {
    created: [...ca.created, ...jwt.created],
    retired: [],
    withdrawn: [...ca.withdrawn, ...jwt.withdrawn],
  }
}
