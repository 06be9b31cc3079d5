/** The actions on containments. Jobs carry on what they begin (jobs/containments.ts). */
import { refuse } from '../../errors.ts'
import { listContainments, readContainment } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Acting, Context } from '../context.ts'
import { type Contained, type ContainmentRequest, type CreateParts, createCreate } from './create.ts'
import { releaseContainment } from './release.ts'
import { reportOf } from './report.ts'
import { isSubjectWithin } from './subject.ts'

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
    create: (context: Parameters<typeof contain>[0], acting: Acting, request: ContainmentRequest) =>
      contain(context, acting, request, read),
    async get({ caller }: Pick<Context, 'caller'>, snapshot: Snapshot, id: string): Promise<Contained> {
      const contained = await read(knex, id)
      if (!isSubjectWithin(contained.row.subject, caller, snapshot)) throw refuse('not_found')
      return contained
    },
    list: async ({ caller }: Pick<Context, 'caller'>, snapshot: Snapshot) =>
      (await listContainments(knex)).filter(({ subject }) => isSubjectWithin(subject, caller, snapshot)),
    release: releaseContainment,
  }
}
