/** Generates the next keys when they are due, and warns of what only an operator can do. */
import { originOf } from '../audit/log.ts'
import type { Change } from '../audit/record.ts'
import { applyKeyChanges, describeKey } from '../keys/apply-changes.ts'
import { type Rotator, makePlanned } from '../keys/rotate.ts'
import { type Plan, type Warning, planRotation } from '../keys/rotation.ts'
import type { Knex } from '../store/database.ts'
import { keysLock, readKeys, setLastSize } from '../store/keys.ts'
import type { KeyRow } from '../store/rows.ts'
import { type JobParts, changeOnce } from './once.ts'
import type { Job } from './runner.ts'

export type KeyRotationParts = JobParts & { rotator: Rotator }

const words: Record<Warning['what'], string> = {
  root_ends: 'the root CA ends soon: rotate it (keys ca:rotate with level root)',
  chain_ends: 'the imported issuing CA ends soon: ask for a request with ca:csr and import the new chain',
}
const warnEveryMs = 3600_000

export function keyRotation(parts: KeyRotationParts): Job {
  const { snapshots, rotator, now, log } = parts
  const warned = new Map<string, number>()

  function warn({ what, keyId, at }: Warning, time: Date): void {
    const key = `${what} ${keyId}`
    const before = warned.get(key)
    if (before !== undefined && Math.abs(time.getTime() - before) < warnEveryMs) return
    warned.set(key, time.getTime())
    const seconds = Math.round((at.getTime() - time.getTime()) / 1000)
    log.warn(`key.${what}`, { keyId, seconds, note: words[what] })
  }

  /** Applies the plan if it is the same under the lock. Otherwise the keys are discarded. */
  async function carryOut(
    tx: Knex.Transaction,
    plan: Plan,
    created: KeyRow[],
    time: Date,
  ): Promise<Change<undefined> | undefined> {
    const rows = await readKeys(tx)
    const current = planRotation(rows, rotator.lifetimes, time)
    if (JSON.stringify(current.actions) !== JSON.stringify(plan.actions)) return undefined
    const snapshot = snapshots.current()
    const origin = originOf(snapshot.trustDomain, snapshot.epoch)
    const applied = await applyKeyChanges(tx, { created, retired: [], withdrawn: [] }, origin)
    const ended = plan.actions.flatMap((action) => (action.do === 'end-log-key' ? [action.id] : []))
    const entries = [
      ...applied.entries,
      ...rows
        .filter((row) => ended.includes(row.id))
        .map((row) => ({ action: 'key.retire' as const, ...describeKey(row, origin) })),
    ]
    const [entry = {}, ...more] = entries
    return {
      result: undefined,
      entry,
      more,
      changed: [...applied.changed, ...ended.map((id) => ({ table: 'signing_key' as const, where: { id } }))],
      async placed(epoch, index) {
        await applied.placed(epoch, index)
        for (const id of ended) await setLastSize(tx, id, index + entries.length)
      },
    }
  }

  return {
    name: 'key-rotation',
    everySeconds: 1,
    async run() {
      const time = now()
      const rows = [...snapshots.current().keys.values()]
      const plan = planRotation(rows, rotator.lifetimes, time)
      for (const warning of plan.warnings) warn(warning, time)
      if (plan.actions.length === 0) return
      // Generating an RSA key is slow: it precedes the transaction, though another replica's key may win.
      const created = await makePlanned(plan.actions, rows, time, rotator)
      const isChanged = await changeOnce({ ...parts, now: () => time }, keysLock, 'key.create', (tx) =>
        carryOut(tx, plan, created, time),
      )
      if (isChanged) for (const row of created) log.info('key.created', { keyId: row.id, note: row.kind })
    },
  }
}
