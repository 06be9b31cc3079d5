import type { Change } from '../../audit/record.ts'
import { type Redaction, maxRedacted, redact } from '../../audit/redact.ts'
import type { Knex } from '../../store/database.ts'
import type { Context } from '../context.ts'
import { impossible } from '../registrations.ts'

/** `minRedactionAge`: seconds for which every entry keeps its text. */
export type RedactParts = { minRedactionAge: number }

/** Takes the text of entries whose retention is over. */
export const redactLog =
  ({ minRedactionAge: minAgeSeconds }: RedactParts) =>
  async (
    { time: now }: Pick<Context, 'time'>,
    tx: Knex.Transaction,
    redaction: Redaction,
  ): Promise<Change<{ redacted: number }>> => {
    const { from, to } = redaction
    if (from >= to || to - from > maxRedacted) {
      throw impossible('/to', `must be above from, and at most ${maxRedacted} above it`)
    }
    return redact(tx, redaction, { now, minAgeSeconds })
  }
