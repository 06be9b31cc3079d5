/** Reads, acknowledges and watches secrets by the rules of the real server. */
import type { OpenRequest } from '../connection/open-stream.ts'
import { isObject } from '../verify/canonical.ts'
import { readSecretOptions } from './credentials-request.ts'
import { type EventQueue, createEventQueue } from './event-queue.ts'
import { type Parts, type Route, bodyOf, noContent } from './parts.ts'
import { invalid, refuseItems } from './refusal.ts'
import { isGranted } from './secrets.ts'
import type { SessionRoutes } from './session-routes.ts'

/** `bundleChanged` announces the new bundle. */
export type Watch = EventQueue & { bundleChanged: () => void }

export function createSecretRoutes({ secrets, sessions, ledger, issuer }: Parts, { caller }: SessionRoutes) {
  const read: Route = (context) => {
    const { session, entry } = caller(context)
    const body = bodyOf(context.request)
    const selected = secrets.read(readSecretOptions(body.secrets), entry, session)
    selected.commit()
    const since = isObject(body.receipt) ? body.receipt.sinceSize : undefined
    const { requestId } = context
    const { id: workloadId, spiffeId } = session.entry
    const actor = { kind: 'workload', session: session.id, spiffeId, workloadId }
    const logEntry = {
      requestId,
      action: 'secret.read',
      outcome: 'granted',
      actor,
      issued: { secrets: selected.issued },
    }
    return {
      json: {
        secrets: selected.reply,
        receipt: ledger.append(logEntry, typeof since === 'number' ? since : undefined),
      },
    }
  }

  const ack =
    (path: string): Route =>
    (context) => {
      const { session } = caller(context)
      const { version } = bodyOf(context.request)
      if (typeof version !== 'number') throw invalid('/version', 'it must be a whole number')
      secrets.ack(path, version, session)
      return noContent
    }

  /** @throws Refusal */
  function watch(request: OpenRequest, noteCaller: (spiffeId: string) => void, sequence: () => number): Watch {
    const paths = new URL(request.path, issuer).searchParams.getAll('path')
    const { session, entry } = caller({ request: { ...request, method: 'GET' }, requestId: '', noteCaller })
    refuseItems('not_granted', 'is not granted to the caller', '/query/path', paths, (path) => !isGranted(entry, path))
    const queue = createEventQueue()
    const bundleChanged = (): void => queue.event('bundle', { sequence: sequence() })
    const announce = (path: string, id?: string): void => {
      const { version } = secrets.live(path) ?? {}
      queue.event('secret', version === undefined ? { path, deleted: true } : { path, version, revision: version }, id)
    }
    bundleChanged()
    for (const path of paths) announce(path)
    queue.event('synced', { complete: true }, secrets.id())
    const removals = [
      secrets.onChange((path) => {
        if (paths.includes(path)) announce(path, secrets.id())
      }),
      sessions.onEnd((ended) => {
        if (ended !== session.id) return
        queue.event('revoked', { reason: 'credential' })
        queue.end()
      }),
    ]
    queue.onEnd(() => removals.forEach((remove) => remove()))
    return { ...queue, bundleChanged }
  }

  return { read, ack, watch }
}
