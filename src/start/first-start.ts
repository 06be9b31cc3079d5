/**
 * The first start, in one transaction that one replica wins: keyring, log key, epoch 1, root, issuing CA, JWT keys, the
 * built-in attestor and the bootstrap token, each with its entry. From then on the database names its trust domain.
 */
import { randomUUID } from 'node:crypto'
import { bootstrapSeconds } from '../actions/tokens/bootstrap.ts'
import type { EntryPart } from '../audit/entry.ts'
import { originOf } from '../audit/log.ts'
import { sealSystem } from '../audit/seal.ts'
import { describeKey } from '../keys/apply-changes.ts'
import type { NameConstraints } from '../keys/extensions.ts'
import { newKeyringRow, openKeyring } from '../keys/keyring.ts'
import { createKeys, logVkey } from '../keys/keys.ts'
import { type Lifetimes, endlessFrom, timesFor } from '../keys/lifetimes.ts'
import { newIssuingCa, newJwtKey, newLogKey, newMacKey, newRootCa } from '../keys/new-key.ts'
import type { RootKey } from '../keys/root-key.ts'
import { newId } from '../names/id.ts'
import { hashToken } from '../names/token.ts'
import type { Database } from '../store/database.ts'
import { insertFirstHead, lockFirstStart } from '../store/epochs.ts'
import { insertKey, insertWrappingKey } from '../store/keys.ts'
import { appendItems, newBatchId, readHead } from '../store/log.ts'
import { insertAttestor } from '../store/registrations.ts'
import type { AttestorRow } from '../store/rows.ts'
import { insertBootstrapToken } from '../store/tokens.ts'

type Parts = {
  db: Pick<Database, 'knex'>
  rootKey: RootKey
  trustDomain: string
  issuer: string
  /** The base of the distribution points in certificates. */
  crlUrl: string
  /** Name constraints of the CA (RFC 5280, section 4.2.1.10), where configured. */
  nameConstraints?: NameConstraints | undefined
  lifetimes: Lifetimes
  /** `purser_boot_…`; the database stores its hash. */
  bootstrapToken: string
  now: Date
  randomBytes: (size: number) => Buffer
}

/** The built-in attestor of join tokens. It has no issuer, so no other kind of proof leads to it. */
const joinAttestor = (id: string): AttestorRow => ({
  id,
  name: 'join',
  kind: 'join-token',
  spiffeIdPrefix: '/join/',
  definition: { name: 'join', kind: 'join-token', spiffeIdPrefix: '/join/' },
  revision: 1,
})

/** Everything that the first start stores. It is made before any lock: an RSA key takes longer than a lock may be idle. */
async function createState({ rootKey, trustDomain, crlUrl, nameConstraints, lifetimes, now, randomBytes }: Parts) {
  const instanceId = randomUUID()
  const wrapping = await newKeyringRow(rootKey, instanceId, newId('kek', randomBytes), now)
  const keyring = await openKeyring(rootKey, instanceId, [wrapping])
  const maker = { keyring, trustDomain, nameConstraints, randomBytes }
  const logKey = newLogKey(maker, endlessFrom(now), 1, 0)
  const root = newRootCa(maker, timesFor('root-ca', lifetimes, now, 0))
  const rootCa = createKeys(keyring).ca(root)
  const issuing = newIssuingCa(
    maker,
    { id: root.id, issuer: rootCa.issuer },
    timesFor('issuing-ca', lifetimes, now, 0),
    `${crlUrl}/crl/${root.id}`,
  )
  const jwt = timesFor('jwt', lifetimes, now, 0)
  const keys = [
    logKey,
    root,
    issuing,
    await newJwtKey(maker, 'jwt-es256', jwt),
    await newJwtKey(maker, 'jwt-rs256', jwt),
    newMacKey(maker, endlessFrom(now)),
  ]
  const bootstrap = { id: newId('tok', randomBytes), expires: new Date(now.getTime() + bootstrapSeconds * 1000) }
  return { instanceId, wrapping, logKey, keys, join: joinAttestor(newId('att', randomBytes)), bootstrap }
}

type FirstState = Awaited<ReturnType<typeof createState>>

function entriesOf({ instanceId, logKey, keys, join, bootstrap }: FirstState, origin: string): EntryPart[] {
  return [
    {
      action: 'log.epoch',
      resource: { kind: 'epoch', id: '1' },
      detail: { origin, instanceId, reason: 'first start', vkey: logVkey(logKey, origin) },
    },
    ...keys
      .filter((row) => row.kind !== 'mac')
      .map((row) => ({
        action: 'key.create' as const,
        ...describeKey(row, row.kind === 'log' ? origin : undefined),
      })),
    {
      action: 'attestor.create',
      resource: { kind: 'attestor', id: join.id, name: join.name, revision: join.revision },
      change: { after: join.definition },
    },
    {
      action: 'bootstrap.create',
      resource: { kind: 'bootstrap-token', id: bootstrap.id },
      detail: { expiresAt: bootstrap.expires.toISOString() },
    },
  ]
}

/** @returns whether this call made the first start; it does nothing where one was made before */
export async function firstStart(parts: Parts): Promise<boolean> {
  const { db, trustDomain, issuer, now, randomBytes } = parts
  if (await readHead(db.knex)) return false
  const state = await createState(parts)
  const origin = originOf(trustDomain, 1)
  const sealed = sealSystem({ action: 'log.epoch', time: now, randomBytes }, entriesOf(state, origin))
  return db.knex.transaction(async (tx) => {
    await lockFirstStart(tx)
    if (await readHead(tx)) return false
    await insertFirstHead(tx, { instanceId: state.instanceId, trustDomain, issuer, origin, now })
    await insertWrappingKey(tx, state.wrapping)
    for (const row of state.keys) await insertKey(tx, row, 1)
    await insertAttestor(tx, state.join)
    const { id, expires } = state.bootstrap
    await insertBootstrapToken(tx, { id, hash: hashToken(parts.bootstrapToken), createdAt: now, expiresAt: expires })
    await appendItems(tx, newBatchId(), 1, sealed)
    return true
  })
}
