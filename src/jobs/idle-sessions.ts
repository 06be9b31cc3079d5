/**
 * Ends login sessions of browsers that had no request for a while. Replicas store the last use of a token at most once a
 * minute, so the job waits for a minute more: a session never ends early, and at most two minutes late.
 */
import { endIdleLogins, idleLogins } from '../store/tokens.ts'
import { type JobParts, changeOnce } from './once.ts'
import type { Job } from './runner.ts'

/** "pidl" in ASCII. */
const lock = 0x7069646c
/** The interval in which a use is stored (actions/tokens/last-use.ts). */
const graceSeconds = 60

export const idleSessions = (parts: JobParts): Job => ({
  name: 'idle-sessions',
  everySeconds: 30,
  async run() {
    if ((await idleLogins(parts.db.knex, parts.now(), graceSeconds)).length === 0) return
    await changeOnce(parts, lock, 'operator.logout', async (tx, now) => {
      const ended = await endIdleLogins(tx, now, graceSeconds)
      const [entry, ...more] = ended.map(({ id, operator, idleSeconds }) => ({
        resource: { kind: 'api-token', id, name: operator },
        detail: { idleSeconds },
      }))
      if (!entry) return undefined
      const changed = ended.map(({ id }) => ({ table: 'api_token' as const, where: { id } }))
      return { result: undefined, entry, more, changed }
    })
  },
})
