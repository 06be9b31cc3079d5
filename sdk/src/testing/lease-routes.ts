/** A lease goes on, or is given up, as the session that holds it says. */
import { type Parts, type Route, entryOf } from './parts.ts'
import { Refusal } from './refusal.ts'
import type { FindCaller } from './session-routes.ts'

/** @returns the route of a path like `/api/v1/leases/ls_…:renew`; nothing for any other */
export function createLeaseRoutes(parts: Parts, { caller }: { caller: FindCaller }) {
  const { leases, entries, ledger } = parts

  const route =
    (id: string, verb: 'renew' | 'revoke'): Route =>
    (context) => {
      const session = caller(context)
      const entry = entries.get(session.entry.spiffeId)
      if (!entry) throw new Refusal('unauthenticated')
      const lease = verb === 'renew' ? leases.renew(id, entry, session) : leases.giveUp(id, session)
      const resource = { kind: 'lease', id, name: lease.username }
      const outcome = verb === 'renew' ? 'completed' : 'granted'
      ledger.append(entryOf(parts, context.requestId, `lease.${verb}`, { outcome, resource }))
      return { json: lease }
    }

  return (path: string): Route | undefined => {
    const [, id = '', verb] = /^\/api\/v1\/leases\/(ls_\w+):(renew|revoke)$/.exec(path) ?? []
    return verb === 'renew' || verb === 'revoke' ? route(id, verb) : undefined
  }
}
