/** `POST /api/v1/workloads:explain`. */
import type { ExplainWorkload } from '../actions/workloads/explain.ts'
import { showExplained } from './explain-view.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json } from './request.ts'
import type { Issue } from './route-kinds.ts'

export const createExplainRoute =
  (explain: ExplainWorkload): Issue =>
  async (request, snapshot) =>
    rendered(await explain(request, snapshot, bodyOf(request, 'explainWorkload')), (explained) =>
      json(showExplained(explained)),
    )
