/** The second factor of an operator. */
import type { Actions } from '../actions/actions.ts'
import { nameOf } from './params.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json, noContent } from './request.ts'
import type { ChangeState, PrepareChange } from './route-kinds.ts'

export function createSecondFactorRoutes({ secondFactors }: Pick<Actions, 'secondFactors'>): {
  enrol: ChangeState
} & Record<'confirm' | 'remove', PrepareChange> {
  return {
    enrol: async (request, tx, snapshot) =>
      rendered(await secondFactors.enrol(request, tx, snapshot, nameOf(request)), (enrolment) =>
        json(enrolment, { status: 201 }),
      ),

    async confirm(request, snapshot) {
      const { code } = bodyOf(request, 'confirmTotp')
      const checked = await secondFactors.check(request, snapshot, { operator: nameOf(request), code })
      return async (_, tx, latest) =>
        rendered(await secondFactors.confirm(request, tx, latest, checked), (codes) => json(codes))
    },

    async remove(request, snapshot) {
      const body = request.body === undefined ? {} : bodyOf(request, 'removeTotp')
      const checked = await secondFactors.check(request, snapshot, { operator: nameOf(request), ...body })
      return async (_, tx, latest) =>
        rendered(await secondFactors.remove(request, tx, latest, checked), () => noContent)
    },
  }
}
