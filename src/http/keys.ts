/** The life of keys, as operators steer it: list, rotate, withdraw, and take an issuing certificate from an upstream CA. */
import { originOf } from '../audit/log.ts'
import type { EntryPart } from '../audit/entry.ts'
import type { Change } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import { applyKeyChanges } from '../keys/apply-changes.ts'
import { describeKey } from '../keys/describe-key.ts'
import { ImportedChainError } from '../keys/imported-chain.ts'
import type { Keyring } from '../keys/keyring.ts'
import { requestedFrom } from '../keys/lifetimes.ts'
import { newRequestedCa } from '../keys/new-key.ts'
import { writeRotatedKeyring } from '../keys/rotate-keyring.ts'
import {
  type KeyChanges,
  RotationError,
  type Rotator,
  rotateLogKey,
  rotateRoot,
  rotateScheduled,
} from '../keys/rotate.ts'
import type { RootKey } from '../keys/root-key.ts'
import { importChain } from '../keys/upstream.ts'
import { newId } from '../names/id.ts'
import type { Database, Knex } from '../store/database.ts'
import { keepOpen } from '../store/keep-open.ts'
import { insertKey, lockKeys, readKeys, readWrappingKeys, updateKey } from '../store/keys.ts'
import { valuesByKey } from '../store/rewrap.ts'
import type { KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { idempotent } from './idempotency.ts'
import { type KeyView, showKey, showWrappingKey } from './key-view.ts'
import { type ListParts, createPages } from './lists.ts'
import { type BodyOf, type Reply, bodyOf, json } from './request.ts'
import type { ChangeState, Read } from './route.ts'

export type KeyRouteParts = ListParts & {
  db: Pick<Database, 'knex'>
  rootKey: RootKey
  keyring: Pick<Keyring, 'currentId'>
  rotator: Rotator
  randomBytes: (size: number) => Buffer
}

type RotateBody = BodyOf<'rotateKey'>

/** What the operator can't have, in words. */
async function orRefuse<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RotationError || error instanceof ImportedChainError) {
      throw refuse('impossible', { detail: error.message })
    }
    throw error
  }
}

export function createKeyRoutes(parts: KeyRouteParts) {
  const { db, rotator, randomBytes } = parts
  const page = createPages(parts)

  const list: Read = async (request, snapshot) => {
    const { time } = request
    const rows = [...snapshot.keys.values()].filter((row) => row.goneAt > time)
    const used = new Set(rows.filter((row) => row.wrapped.length > 0).map((row) => row.wrappingKeyId))
    const current = parts.keyring.currentId
    const values = await valuesByKey(db.knex)
    const wrapping = (await readWrappingKeys(db.knex)).filter(
      (row) => row.id === current || used.has(row.id) || values.has(row.id),
    )
    return page(request, snapshot, {
      list: 'keys',
      rows: [
        ...rows.map((row) => showKey(row, snapshot, time)),
        ...wrapping.map((row) => showWrappingKey(row, current, values.get(row.id) ?? 0)),
      ],
      keyOf: (view: KeyView) => `${view.kind} ${view.createdAt} ${view.id}`,
      show: (view) => view,
    })
  }

  /** The rows under the lock that jobs and operators take before they change keys. */
  async function locked(tx: Knex.Transaction): Promise<KeyRow[]> {
    await lockKeys(tx)
    return readKeys(tx)
  }

  async function change(kind: string, body: RotateBody, rows: readonly KeyRow[], now: Date): Promise<KeyChanges> {
    const compromised = body.compromised ?? false
    if (kind === 'log') return rotateLogKey(rows, compromised, now, rotator)
    if (kind === 'jwt') return rotateScheduled(['jwt-es256', 'jwt-rs256'], rows, compromised, now, rotator)
    if (body.level === 'root') return rotateRoot(rows, compromised, now, rotator)
    return rotateScheduled(['issuing-ca'], rows, compromised, now, rotator)
  }

  function replyOf(changes: KeyChanges, { trustDomain }: Snapshot, now: Date): Reply {
    const { created, retired, withdrawn } = changes
    const all = new Map([...created, ...retired, ...withdrawn].map((row) => [row.id, row]))
    const show = (row: KeyRow): KeyView => showKey(row, { keys: all, trustDomain }, now)
    return json({ created: created.map(show), replaced: [...retired, ...withdrawn].map(show) })
  }

  const rotate: ChangeState = async (request, tx, snapshot) => {
    const { params, body, time } = request
    const { kind = '' } = params
    const asked = body === undefined ? {} : bodyOf(request, 'rotateKey')
    if (asked.level !== undefined && kind !== 'ca') {
      throw refuse('invalid_request', { errors: [{ pointer: '/level', detail: 'only a CA has levels' }] })
    }
    if (kind === 'keyring') return rotateWrapping(tx, snapshot, time)
    const rows = await locked(tx)
    const changes = await orRefuse(() => keepOpen(tx, change(kind, asked, rows, time)))
    const applied = await applyKeyChanges(tx, changes, originOf(snapshot.trustDomain, snapshot.epoch))
    const [entry = {}, ...more] = applied.entries
    return { result: replyOf(changes, snapshot, time), entry, more, changed: applied.changed, placed: applied.placed }
  }

  /** Private keys are wrapped again at once, values by a job that follows (jobs/rewrap.ts). */
  async function rotateWrapping(tx: Knex.Transaction, snapshot: Snapshot, now: Date): Promise<Change<Reply>> {
    const id = newId('kek', randomBytes)
    const { rootKey } = parts
    const made = await writeRotatedKeyring(tx, { rootKey, instanceId: snapshot.instanceId, id, now })
    const replaced = made.earlier.filter((one) => one.id === parts.keyring.currentId)
    return {
      result: json({
        created: [showWrappingKey(made.row, id)],
        replaced: replaced.map((one) => showWrappingKey(one, id)),
      }),
      entry: made.entry,
      changed: made.changed,
    }
  }

  const csr: ChangeState = async ({ time }, tx) => {
    await lockKeys(tx)
    const made = newRequestedCa(rotator.maker, requestedFrom(time))
    await insertKey(tx, made.row)
    const { resource } = describeKey(made.row)
    return {
      result: json({ keyId: made.row.id, csr: made.csr }, { status: 201 }),
      entry: { resource, change: { after: { csr: made.csr } } },
      changed: [{ table: 'signing_key', where: { id: made.row.id } }],
    }
  }

  const importCa: ChangeState = async (request, tx, snapshot) => {
    const { time } = request
    const { certificateChain, trustBundle } = bodyOf(request, 'importCaChain')
    const rows = await locked(tx)
    const { trustDomain } = snapshot
    const { lifetimes, maker } = rotator
    const { nameConstraints } = maker
    const changes = await orRefuse(() =>
      importChain(rows, {
        certificateChain,
        trustBundle,
        trustDomain,
        ...(nameConstraints && { nameConstraints }),
        lifetimes,
        now: time,
        randomBytes,
      }),
    )
    const { imported } = changes
    await updateKey(tx, imported)
    const applied = await applyKeyChanges(tx, changes, '')
    const entry: EntryPart = { action: 'key.import', ...describeKey(imported) }
    return {
      result: json(showKey(imported, { keys: new Map([[imported.id, imported]]), trustDomain }, time)),
      entry,
      more: applied.entries,
      changed: [{ table: 'signing_key', where: { id: imported.id } }, ...applied.changed],
    }
  }

  return { list, rotate: idempotent(parts, rotate), csr: idempotent(parts, csr), importCa: idempotent(parts, importCa) }
}
