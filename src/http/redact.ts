import { maxRedacted, redact } from '../audit/redact.ts'
import { refuse } from '../errors.ts'
import { bodyOf, json } from './request.ts'
import type { ChangeState } from './route.ts'

/** `minRedactionAge`: seconds for which every entry keeps its text. */
export type RedactParts = { minRedactionAge: number }

/** Takes entries that retention is over for. */
export const createRedactEntries =
  ({ minRedactionAge: minAgeSeconds }: RedactParts): ChangeState =>
  async (request, tx) => {
    const { epoch, from, to, rule } = bodyOf(request, 'redactEntries')
    if (from >= to || to - from > maxRedacted) {
      const detail = `must be above from, and at most ${maxRedacted} above it`
      throw refuse('impossible', { errors: [{ pointer: '/to', detail }] })
    }
    const { result: reply, ...change } = await redact(
      tx,
      { epoch, from, to, rule },
      { now: request.time, minAgeSeconds },
    )
    return { ...change, result: json({ epoch, from, to, ...reply }) }
  }
