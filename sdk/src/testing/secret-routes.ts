/** Reading, acknowledging and watching secrets, by the rules and in the words of the real server. */
import { bundleLine, heldBack } from './secret-stream.ts'
import type { OpenRequest } from '../connection/open-stream.ts'
import { isObject } from '../verify/canonical.ts'
import { type Parts, type Route, bodyOf, entryOf } from './parts.ts'
import { Refusal, invalid } from './refusal.ts'
import { isGranted } from './secrets.ts'
import type { Session } from './sessions.ts'
import type { FindCaller } from './session-routes.ts'
import { readWanted } from './wanted.ts'

export function createSecretRoutes(parts: Parts, { caller }: { caller: FindCaller }) {
  const { secrets, entries, sessions, ledger } = parts

  function entryFor(session: Session) {
    const entry = entries.get(session.entry.spiffeId)
    if (!entry) throw new Refusal('unauthenticated')
    return entry
  }

  const actorOf = ({ id, entry: { id: workloadId, spiffeId } }: Session) => ({
    kind: 'workload',
    session: id,
    spiffeId,
    workloadId,
  })

  const read: Route = (context) => {
    const session = caller(context)
    const body = bodyOf(context.request)
    const found = secrets.read(readWanted(body.secrets), entryFor(session), session)
    found.gave()
    const since = isObject(body.receipt) ? body.receipt.sinceSize : undefined
    const more = { outcome: 'granted', actor: actorOf(session), issued: { secrets: found.record } }
    const entry = entryOf(parts, context.requestId, 'secret.read', more)
    return {
      json: { secrets: found.reply, receipt: ledger.append(entry, typeof since === 'number' ? since : undefined) },
    }
  }

  const ack =
    (path: string): Route =>
    (context) => {
      const session = caller(context)
      const { version } = bodyOf(context.request)
      if (typeof version !== 'number') throw invalid('/version', 'it must be a whole number')
      secrets.ack(path, version, session)
      return { status: 204, bytes: Buffer.alloc(0), type: 'text/plain' }
    }

  /** @throws Refusal */
  function watch(request: OpenRequest, noteWho: (spiffeId: string) => void, sequence: () => number) {
    const query = new URL(request.path, parts.issuer).searchParams
    const paths = query.getAll('path')
    const session = caller({ request: { ...request, method: 'GET' }, requestId: '', noteWho })
    const denied = paths.flatMap((path, n) =>
      isGranted(entryFor(session), path)
        ? []
        : [{ pointer: `/query/path/${n}`, detail: 'is not granted to the caller' }],
    )
    if (denied.length > 0) throw new Refusal('not_granted', { errors: denied })
    const line = heldBack()
    const tell = (path: string, id?: string): void => {
      const found = secrets.live(path)
      line.event(
        'secret',
        found ? { path, version: found.version, revision: found.version } : { path, deleted: true },
        id,
      )
    }
    line.event(...bundleLine(sequence()))
    for (const path of paths) tell(path)
    line.event('synced', { complete: true }, secrets.id())
    const stops = [
      secrets.onMove((path) => {
        if (paths.includes(path)) tell(path, secrets.id())
      }),
      sessions.onEnd((ended) => {
        if (ended !== session.id) return
        line.event('revoked', { reason: 'credential' })
        line.end()
      }),
    ]
    line.onEnd(() => stops.forEach((stop) => stop()))
    return { ...line, moved: () => line.event(...bundleLine(sequence())) }
  }

  return { read, ack, watch }
}
