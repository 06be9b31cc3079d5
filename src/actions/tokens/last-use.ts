/** Stores when each API token was last used: at most once a minute for each token and process, beside the request. */
import type { Database } from '../../store/database.ts'
import { setLastUsed } from '../../store/tokens.ts'

export type NoteUse = (tokenId: string, now: Date) => void

const intervalMs = 60_000
/** Beyond this number the times are forgotten, and the next use of a token is stored again. */
const maxTokens = 10_000

export function createNoteUse({
  db,
  onError,
}: {
  db: Pick<Database, 'knex'>
  onError: (error: unknown) => void
}): NoteUse {
  const storedAt = new Map<string, number>()
  return (tokenId, now) => {
    const at = storedAt.get(tokenId)
    if (at !== undefined && now.getTime() - at < intervalMs) return
    if (storedAt.size >= maxTokens) storedAt.clear()
    storedAt.set(tokenId, now.getTime())
    setLastUsed(db.knex, tokenId, now).catch((error: unknown) => {
      // The next use is stored again: a session must not end as idle for a failed write.
      storedAt.delete(tokenId)
      onError(error)
    })
  }
}
