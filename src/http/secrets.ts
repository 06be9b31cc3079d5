/** Secrets as operators keep them: versions written under a precondition, deleted, brought back, destroyed. */
import type { EntryPart } from '../audit/entry.ts'
import type { Change } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import type { SealingKeyring } from '../keys/data-keys.ts'
import { newId } from '../names/id.ts'
import { refuseBesideTarget, refuseWhileRotating } from '../secrets/rotation/guard.ts'
import { pruneVersions } from '../secrets/rotation/prune.ts'
import { isReadable } from '../secrets/read.ts'
import type { Rotators } from '../secrets/rotators/rotator.ts'
import { type SecretData, openData, sealData } from '../secrets/value.ts'
import { type Database, type Knex, isUniqueViolation } from '../store/database.ts'
import { removePolicy } from '../store/rotation-policies.ts'
import type { SecretRow } from '../store/rows.ts'
import { insertSecret, lastVersionOf, removeSecret, updateSecret } from '../store/secrets.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { checkRevision, operatorName } from '../actions/context.ts'
import { lockedSecret, secretOf } from '../actions/secrets/live.ts'
import { pathOf } from './paths.ts'
import { etag, expectedRevision } from './preconditions.ts'
import { type ApiRequest, type Reply, bodyOf, json } from './request.ts'
import type { ChangeState, Read } from './route.ts'
import { showSecret, showVersion } from './secret-view.ts'
import {
  type VersionSource,
  deleteVersions,
  destroyVersions,
  insertVersion,
  listVersions,
  readVersions,
  undeleteVersions,
} from '../store/secret-versions.ts'

export type SecretRouteParts = {
  db: Pick<Database, 'knex'>
  keyring: SealingKeyring
  rotators: Rotators
  randomBytes: (size: number) => Buffer
}

const defaultMaxVersions = 10

export function createSecretRoutes({ db, keyring, rotators, randomBytes }: SecretRouteParts) {
  /** Writes a version and makes it the live one; a secret that isn't there is made. */
  async function write(
    request: ApiRequest,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    version: { data: SecretData; source: VersionSource; expiresAt?: Date },
  ): Promise<Change<Reply>> {
    const { path } = pathOf(request)
    const old = snapshot.secrets.get(path)
    const now = request.time
    const next = (await lastVersionOf(tx, path)) + 1
    const row: SecretRow = old
      ? { ...old, version: next, revision: old.revision + 1, updatedAt: now }
      : {
          id: newId('sec', randomBytes),
          path,
          version: next,
          revision: 1,
          labels: {},
          maxVersions: defaultMaxVersions,
          createdAt: now,
          updatedAt: now,
        }
    const { data, source, expiresAt } = version
    if (expiresAt && expiresAt <= now) throw impossible('/expiresAt', 'must be in the future')
    const sealed = sealData(keyring, row, next, data)
    if (old) await updateSecret(tx, row)
    else await insertNew(tx, row)
    const createdBy = operatorName(request)
    await insertVersion(tx, {
      secretId: row.id,
      version: next,
      sealed,
      staged: false,
      source,
      createdBy,
      createdAt: now,
      ...(expiresAt && { expiresAt }),
    })
    const destroyed = await pruneVersions(tx, row, now)
    const detail = {
      source,
      ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
      ...(destroyed.length > 0 && { destroyed }),
    }
    return {
      result: json(showSecret(row), { status: old ? 200 : 201, headers: etag(row.version) }),
      ...changed(row, { detail }),
    }
  }

  /** As it may be written beside its rotations. */
  async function writable(request: ApiRequest, tx: Knex.Transaction, snapshot: Snapshot): Promise<SecretRow> {
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    refuseBesideTarget(rotators, secret)
    await refuseWhileRotating(tx, secret)
    return secret
  }

  /** A change of versions that leaves values as they are. */
  async function touch(
    request: ApiRequest,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    work: (secret: SecretRow) => Promise<{ versions: number[]; done: number }>,
  ): Promise<Change<Reply>> {
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    const { versions, done } = await work(secret)
    if (done === 0)
      throw refuse('not_found', { errors: [{ pointer: '/versions', detail: 'no version is in the state for it' }] })
    const row = { ...secret, revision: secret.revision + 1, updatedAt: request.time }
    await updateSecret(tx, row)
    return { result: json(showSecret(row), { headers: etag(row.version) }), ...changed(row, { detail: { versions } }) }
  }

  const put: ChangeState = async (request, tx, snapshot) => {
    const expected = expectedRevision(request)
    const { data, expiresAt } = bodyOf(request, 'putSecret')
    const { path } = pathOf(request)
    checkRevision(expected, snapshot.secrets.get(path)?.version ?? 0)
    if (snapshot.secrets.has(path)) await writable(request, tx, snapshot)
    return write(request, tx, snapshot, { data, source: 'put', ...(expiresAt && { expiresAt: new Date(expiresAt) }) })
  }

  /** RFC 7396 on the first level: null removes a member. */
  const patch: ChangeState = async (request, tx, snapshot) => {
    const expected = expectedRevision(request)
    const { data } = bodyOf(request, 'patchSecret')
    const secret = await writable(request, tx, snapshot)
    checkRevision(expected, secret.version)
    const [current] = await readVersions(tx, [{ secretId: secret.id, version: secret.version }])
    if (!current || !isReadable(current, secret, request.time))
      throw refuse('not_found', { detail: 'the live version has no value: put one' })
    const removed = (name: string): boolean => Object.hasOwn(data, name) && data[name] === null
    const merged = Object.entries({ ...openData(keyring, secret, current), ...data }).filter(([name]) => !removed(name))
    return write(request, tx, snapshot, { data: Object.fromEntries(merged), source: 'patch' })
  }

  const remove: ChangeState = async (request, tx, snapshot) => {
    const expected = expectedRevision(request)
    return touch(request, tx, snapshot, async (secret) => {
      checkRevision(expected, secret.version)
      const versions = [secret.version]
      await refuseWhileRotating(tx, secret, versions)
      return { versions, done: await deleteVersions(tx, secret.id, versions, request.time) }
    })
  }

  const undelete: ChangeState = async (request, tx, snapshot) =>
    touch(request, tx, snapshot, async (secret) => {
      const versions = bodyOf(request, 'undeleteSecret').versions ?? [secret.version]
      return { versions, done: await undeleteVersions(tx, secret.id, versions) }
    })

  const destroy: ChangeState = async (request, tx, snapshot) => {
    const { versions: some } = bodyOf(request, 'destroySecret')
    if (some) {
      return touch(request, tx, snapshot, async (secret) => {
        await refuseWhileRotating(tx, secret, some)
        return { versions: some, done: await destroyVersions(tx, secret.id, some, request.time) }
      })
    }
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    await refuseWhileRotating(tx, secret)
    await removePolicy(tx, secret.id)
    const versions = (await listVersions(tx, secret.id)).map((version) => version.version)
    await destroyVersions(tx, secret.id, versions, request.time)
    await removeSecret(tx, secret.id, request.time)
    return {
      result: { status: 204, body: { text: '', type: 'text/plain' } },
      entry: { resource: resourceOf(secret), detail: { all: true, versions: versions.length } },
      changed: rowsOf(secret),
    }
  }

  const versions: Read = async (request, snapshot) => {
    const secret = secretOf(pathOf(request).path, snapshot)
    const rows = await listVersions(db.knex, secret.id)
    return json({ path: secret.path, items: rows.filter((row) => !row.staged).map((row) => showVersion(row, secret)) })
  }

  const metadata: Read = async (request, snapshot) => {
    const secret = secretOf(pathOf(request).path, snapshot)
    return json(showSecret(secret), { headers: etag(secret.revision) })
  }

  const describe: ChangeState = async (request, tx, snapshot) => {
    const expected = expectedRevision(request)
    const { description, labels, maxVersions, managedBy } = bodyOf(request, 'describeSecret')
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    checkRevision(expected, secret.revision)
    const { description: _, managedBy: __, ...rest } = secret
    const row: SecretRow = {
      ...rest,
      revision: secret.revision + 1,
      labels: labels ?? {},
      maxVersions: maxVersions ?? defaultMaxVersions,
      ...(description !== undefined && { description }),
      ...(managedBy !== undefined && { managedBy }),
      updatedAt: request.time,
    }
    await updateSecret(tx, row)
    return { result: json(showSecret(row), { headers: etag(row.revision) }), ...changed(row) }
  }

  return { put, patch, remove, undelete, destroy, versions, metadata, describe }
}

const impossible = (pointer: string, detail: string): Error => refuse('impossible', { errors: [{ pointer, detail }] })

const resourceOf = ({ id, path, revision }: SecretRow) => ({ kind: 'secret', id, name: path, revision })
const rowsOf = ({ id }: SecretRow): NonNullable<Change<Reply>['changed']> => [{ table: 'secret', where: { id } }]

const changed = (row: SecretRow, more: Pick<EntryPart, 'detail'> = {}) => ({
  entry: { resource: resourceOf(row), change: { after: showSecret(row) }, ...more },
  changed: rowsOf(row),
})

/** Two replicas may make one path at once: the later one looks again. */
async function insertNew(tx: Knex.Transaction, row: SecretRow): Promise<void> {
  try {
    await insertSecret(tx, row)
  } catch (error) {
    throw isUniqueViolation(error) ? refuse('stale') : error
  }
}
