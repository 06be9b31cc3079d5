/**
 * The work after the block: revokes what the log names, rotates what was read, and waits for leases and rotations. Each
 * step is a change of its own that says where the next one begins, so any replica continues after a crash.
 */
import { readItems } from '../../store/containment-items.ts'
import {
  type ContainmentRow,
  claimContainment,
  freeContainment,
  lockContainment,
  readContainment,
  updateContainment,
} from '../../store/containments.ts'
import { createdTokens } from './api-tokens.ts'
import { readsIn } from './findings.ts'
import { isSettled, reportOf } from './report.ts'
import { type PageParts, revokePage } from './revoke-page.ts'
import { type RotateParts, createRotateSecret } from './rotate-secret.ts'
import { searchLog } from './search.ts'

export type CarryOutParts = PageParts & RotateParts

/** Does what can be done now. Does nothing where another replica works on the containment. */
export type CarryOut = (id: string) => Promise<void>

/** Longer than a step. A replica that died is followed by another one after this time. */
const claimMs = 15_000

/** Thrown to roll back: another replica completed it. */
const completed = new Error('the containment is complete')

/** Another replica has taken the claim over. */
const claimLost = new Error('another replica works on the containment')

export function createCarryOut(parts: CarryOutParts): CarryOut {
  const { db, recorder, now } = parts
  const rotateSecret = createRotateSecret(parts)

  async function revokeAll(row: ContainmentRow, stay: () => Promise<void>): Promise<void> {
    let current = row
    for await (const page of searchLog(db.knex, row, now())) {
      await stay()
      if (!(await revokePage(parts, current, page))) throw claimLost
      // What they did is searched for as well.
      if (createdTokens(row.subject, page.apiTokens).length > 0) return revokeAll(await reread(row), stay)
      current = { ...current, reached: page.reached }
    }
  }

  async function reread({ id }: ContainmentRow): Promise<ContainmentRow> {
    const row = await readContainment(db.knex, id)
    if (!row) throw claimLost
    return row
  }

  async function rotateAll(row: ContainmentRow, stay: () => Promise<void>): Promise<void> {
    const items = await readItems(db.knex, row.id, ['read', 'secret'])
    const done = new Set(items.filter((item) => item.kind === 'secret').map((item) => item.name))
    for (const [path, versions] of readsIn(items)) {
      if (done.has(path)) continue
      await stay()
      await rotateSecret(row, path, versions)
    }
  }

  async function complete({ id, requestId }: ContainmentRow): Promise<void> {
    const row = await readContainment(db.knex, id)
    if (!row) return
    const report = await reportOf(db.knex, row, now())
    if (!isSettled(report)) return
    const { counts, leases, rotating, needsHands } = report
    const open = { requestId, action: 'containment.complete', time: now(), actor: { kind: 'system' } } as const
    await recorder.change(open, async (tx) => {
      const locked = await lockContainment(tx, id)
      if (!locked || locked.completedAt) throw completed
      await updateContainment(tx, id, { state: 'contained', completedAt: open.time })
      return {
        result: undefined,
        entry: {
          outcome: 'completed',
          resource: { kind: 'containment', id },
          detail: {
            found: Object.fromEntries(counts),
            leases: leases.length,
            rotated: rotating.length,
            needsHands: needsHands.length,
          },
        },
      }
    })
  }

  return async (id) => {
    let until: Date | undefined
    async function stay(): Promise<void> {
      const next = new Date(now().getTime() + claimMs)
      if (!(await claimContainment(db.knex, id, now(), next, until))) throw claimLost
      until = next
    }
    try {
      await stay()
      const row = await readContainment(db.knex, id)
      if (!row) return
      if (row.state === 'revoking') await revokeAll(row, stay)
      await rotateAll(row, stay)
      await complete(row)
    } catch (error) {
      if (error !== claimLost && error !== completed) throw error
    } finally {
      if (until) await freeContainment(db.knex, id, until)
    }
  }
}
