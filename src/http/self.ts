/** The caller itself: describe it, end its session. */
import type { Actions } from '../actions/actions.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { rendered } from './rendered.ts'
import { json, noContent } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'

export function createSelfRoutes({ self, end }: Pick<Actions['sessions'], 'self' | 'end'>): {
  who: Read
  end: ChangeState
} {
  return {
    async who({ caller }, snapshot) {
      const view = self(caller, snapshot)
      if (view.kind === 'operator') {
        const { expiresAt: end, ...rest } = view
        return json({ ...rest, ...(end && { expiresAt: rfc3339(end) }) })
      }
      const { id, expiresAt } = view.session
      return json({ ...view, session: { id, expiresAt: rfc3339(expiresAt) } })
    },
    end: async (request, tx) => rendered(await end(request, tx), () => noContent),
  }
}
