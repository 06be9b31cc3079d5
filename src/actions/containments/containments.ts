/** The actions on containments. Jobs carry on what they begin (jobs/containments.ts). */
import { snapshotFor } from '../../authorize/scope.ts'
import { refuse } from '../../errors.ts'
import { listContainments, readContainment } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Acting, Context } from '../context.ts'
import { type Contained, type ContainmentRequest, type CreateParts, createCreate } from './create.ts'
import { releaseContainment } from './release.ts'
import { reportOf } from './report.ts'
import { isSubjectWithin } from './subject.ts'
import { reportWithin } from './within.ts'

export function createContainmentActions(parts: CreateParts) {
  const { knex } = parts.db
  const contain = createCreate(parts)

  /** @throws Refusal `not_found` */
  async function read(tx: Knex, id: string): Promise<Contained> {
    const row = await readContainment(tx, id)
    if (!row) throw refuse('not_found')
    return { row, report: await reportOf(tx, row, parts.now()) }
  }

  return {
    async create(context: Parameters<typeof contain>[0], acting: Acting, request: ContainmentRequest) {
      const show = async (id: string): Promise<Contained> => {
        const { row, report } = await read(knex, id)
        return { row, report: reportWithin(report, context, snapshotFor(context.caller, parts.snapshots.current())) }
      }
      return contain(context, acting, request, show)
    },
    async get(context: Pick<Context, 'caller'>, snapshot: Snapshot, id: string): Promise<Contained> {
      const { row, report } = await read(knex, id)
      if (!isSubjectWithin(row.subject, context.caller, snapshot)) throw refuse('not_found')
      return { row, report: reportWithin(report, context, snapshot) }
    },
    list: async ({ caller }: Pick<Context, 'caller'>, snapshot: Snapshot) =>
      (await listContainments(knex)).filter(({ subject }) => isSubjectWithin(subject, caller, snapshot)),
    release: releaseContainment,
  }
}
