/**
 * Puts every data key under the newest wrapping key, a page at a time. The rows show the progress, so any replica continues
 * where another stopped. Values and revisions stay: older wrapping keys stay too, so a row that was read before still opens.
 */
import { type ValuePlace, rewrapValue } from '../keys/data-keys.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Knex } from '../store/database.ts'
import { readJobState, tryLock, writeJobState } from '../store/jobs.ts'
import { readWrappingKeys } from '../store/keys.ts'
import {
  type Rewrapped,
  type WrappedAdmin,
  type WrappedTotp,
  type WrappedVersion,
  adminsWrappedBy,
  countWrapped,
  replaceAdminKeys,
  replaceTotpKeys,
  replaceVersionKeys,
  totpsWrappedBy,
  versionsWrappedBy,
} from '../store/rewrap.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type JobParts, changeOnce } from './once.ts'
import type { Job } from './runner.ts'

export type RewrapParts = JobParts & { keyring: Keyring; metrics: Pick<Metrics, 'valuesLeft'> }

/** How far it is with the wrapping key `to`; `completed` once the log says so. */
type State = { to: string; rewrapped: number; completed: boolean }

const isState = (state: unknown): state is State => typeof state === 'object' && state !== null && 'to' in state

const name = 'rewrap'
/** "prwr" in ASCII. */
const lock = 0x70727772
/** Rows in one transaction, and transactions in one run. */
const page = 200
const maxPages = 50

const placeOfVersion = ({ secretId, path, version }: WrappedVersion): ValuePlace => ({
  kind: 'secret',
  id: secretId,
  path,
  version,
})

/** A credential that is being set is sealed for the revision that it will have. */
const placeOfAdmin = ({ id, revision, next }: WrappedAdmin): ValuePlace => ({
  kind: 'database',
  id,
  revision: revision + (next ? 1 : 0),
})

const placeOfTotp = ({ totpId }: WrappedTotp): ValuePlace => ({ kind: 'totp', id: totpId })

export function rewrap(parts: RewrapParts): Job {
  const { db, keyring, metrics, log } = parts
  let last: WrappedVersion | undefined
  let [failures, reported] = [0, 0]

  /** A key that does not open was changed in the database: it is reported, and the others go on. */
  function rewrapped<T extends WrappedVersion | WrappedAdmin | WrappedTotp>(
    rows: T[],
    placeOf: (row: T) => ValuePlace,
  ): Rewrapped<T>[] {
    return rows.flatMap((old) => {
      try {
        return [{ old, replacement: rewrapValue(keyring, placeOf(old), old) }]
      } catch {
        failures++
        return []
      }
    })
  }

  function report(): void {
    const words = 'data keys do not open: their rows were changed, or moved; what they were for is lost'
    if (failures > 0 && failures !== reported) log.warn('key.rewrap_failed', { count: failures, note: words })
    reported = failures
  }

  async function stateOf(tx: Knex, to: string): Promise<State> {
    const state = await readJobState(tx, name)
    return isState(state) && state.to === to ? state : { to, rewrapped: 0, completed: false }
  }

  /** @returns whether more may be left; false where another replica rewraps */
  const onePage = (older: readonly string[]): Promise<boolean> =>
    db.knex.transaction(async (tx) => {
      if (!(await tryLock(tx, lock))) return false
      const versions = await versionsWrappedBy(tx, older, last, page)
      last = versions.length === page ? versions.at(-1) : undefined
      let done = await replaceVersionKeys(tx, rewrapped(versions, placeOfVersion))
      if (!last) {
        done += await replaceAdminKeys(tx, rewrapped(await adminsWrappedBy(tx, older), placeOfAdmin))
        done += await replaceTotpKeys(tx, rewrapped(await totpsWrappedBy(tx, older), placeOfTotp))
      }
      if (done > 0) {
        const state = await stateOf(tx, keyring.currentId)
        await writeJobState(tx, name, { ...state, rewrapped: state.rewrapped + done })
      }
      return last !== undefined
    })

  /** Records the end once for each wrapping key. */
  async function complete(older: readonly string[]): Promise<void> {
    const { currentId } = keyring
    if ((await stateOf(db.knex, currentId)).completed) return
    const isRecorded = await changeOnce(parts, lock, 'key.rewrap', async (tx) => {
      const state = await stateOf(tx, currentId)
      if (state.completed || (await countWrapped(tx, older)) > 0) return undefined
      await writeJobState(tx, name, { ...state, completed: true })
      const entry = {
        outcome: 'completed' as const,
        resource: { kind: 'key', id: currentId, name: 'keyring' },
        detail: { values: state.rewrapped },
      }
      return { result: undefined, entry }
    })
    if (isRecorded) log.info('key.rewrapped', { keyId: currentId })
  }

  return {
    name,
    everySeconds: 5,
    async run() {
      const rows = await readWrappingKeys(db.knex)
      // Another replica may have made the newest.
      await keyring.add(rows)
      const older = rows.map((row) => row.id).filter((id) => id !== keyring.currentId)
      if (older.length === 0) return metrics.valuesLeft(0)
      failures = 0
      if ((await countWrapped(db.knex, older)) > 0) {
        for (let pages = 0; pages < maxPages && (await onePage(older)); pages++);
      }
      report()
      const remaining = await countWrapped(db.knex, older)
      metrics.valuesLeft(remaining)
      if (remaining === 0) await complete(older)
    },
  }
}
