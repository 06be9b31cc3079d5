/** `GET /api/v1/watch`: tells whoever holds secrets that there is a newer version, within a second, at whichever replica. */
import { refuse } from '../errors.ts'
import { parseSecretPath } from '../names/secret-path.ts'
import { secretPath } from '../secrets/read.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type ApiRequest, queryFor } from './request.ts'
import type { Issue } from './route.ts'
import { secretCaller } from '../actions/secrets/reader.ts'
import { readEventId } from './watch-events.ts'
import type { Watches } from './watches.ts'

export type WatchRouteParts = { watches: Pick<Watches, 'admit' | 'reply'> }

export function createWatch({ watches }: WatchRouteParts): Issue {
  return async (request, snapshot) => {
    const { path: asked = [], prefix } = queryFor(request, 'watch')
    const { holder, may, mayUnder, actor, live } = secretCaller(request, snapshot)
    const paths = [...new Set(asked)].map((text, n) => secretPath(text, `/query/path/${n}`))
    const denied = paths.flatMap((path, n) => (may('watch', path) ? [] : [{ pointer: `/query/path/${n}`, detail }]))
    if (prefix !== undefined && !mayUnder('watch', prefix)) denied.push({ pointer: '/query/prefix', detail })
    if (denied.length > 0) throw refuse('not_granted', { errors: denied.slice(0, 20) })
    watches.admit(holder)
    const names = paths.map((path) => path.path)
    const since = readEventId(request.lastEventId)
    const until = endOfCredential(request, snapshot)
    const { caller } = request
    return {
      result: watches.reply({
        holder,
        caller,
        paths: names,
        ...(prefix !== undefined && { prefix }),
        ...(until && { until }),
        ...(since && { since }),
      }),
      entry: { ...(actor && { actor }), detail: logged(snapshot, names, prefix) },
      ...(live && { effects: live }),
      // Judged again by each newer snapshot for as long as it lasts.
      holds: (snapshot) => mayAll(request, snapshot, names, prefix),
    }
  }
}

const detail = 'is not granted to the caller'

function mayAll(request: ApiRequest, snapshot: Snapshot, paths: readonly string[], prefix?: string): boolean {
  const { may, mayUnder } = secretCaller(request, snapshot)
  if (prefix !== undefined && !mayUnder('watch', prefix)) return false
  return paths.every((path) => may('watch', parseSecretPath(path)))
}

/** Names that exist, and of others how many: what somebody typed by mistake may be anything. */
function logged({ secrets }: Snapshot, paths: readonly string[], prefix: string | undefined): Record<string, unknown> {
  const known = paths.filter((path) => secrets.has(path))
  const isKnown = prefix !== undefined && [...secrets.keys()].some((path) => path.startsWith(prefix))
  return {
    ...(known.length > 0 && { paths: known }),
    ...(known.length < paths.length && { unknown: paths.length - known.length }),
    ...(prefix !== undefined && { prefix: isKnown ? prefix : 'unknown' }),
  }
}

function endOfCredential({ caller }: ApiRequest, { apiTokens }: Snapshot): Date | undefined {
  if (caller.kind === 'operator') return apiTokens.get(caller.tokenId)?.expiresAt
  if (caller.kind !== 'session') return undefined
  const { until, session } = caller
  return until && until < session.expiresAt ? until : session.expiresAt
}
