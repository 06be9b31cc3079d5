import { mostRedacted, redact } from '../audit/redact.ts'
import { refuse } from '../errors.ts'
import { bodyOf, json } from './request.ts'
import type { ChangeState } from './route.ts'

/** Takes entries that retention is over for. */
export const redactEntries: ChangeState = async (request, tx) => {
  const { epoch, from, to, rule } = bodyOf(request, 'redactEntries')
  if (from >= to || to - from > mostRedacted) {
    const detail = `must be above from, and at most ${mostRedacted} above it`
    throw refuse('impossible', { errors: [{ pointer: '/to', detail }] })
  }
  const { reply, ...change } = await redact(tx, { epoch, from, to, rule }, request.time)
  return { ...change, reply: json({ epoch, from, to, ...reply }) }
}
