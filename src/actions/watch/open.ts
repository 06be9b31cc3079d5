/** Opens a watch: its reader hears of newer versions of secrets within a second, at any replica. */
import type { Release } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { parseSecretPath } from '../../names/secret-path.ts'
import { secretPath } from '../../secrets/read.ts'
import type { Database, Knex } from '../../store/database.ts'
import { endOfPrefix, findSecrets, listSecrets } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { type SecretCaller, isAllowedAlike, secretCaller } from '../secrets/reader.ts'
import type { EventId } from './stream.ts'
import type { OpenWatch, Watches } from './watches.ts'

export type WatchRequest = { paths: readonly string[]; prefix?: string; since?: EventId }

const detail = 'is not granted to the caller'

/** @throws Refusal `bad_path`, `not_granted`, and what `Watches.admit` throws */
export const openWatch =
  (watches: Pick<Watches, 'admit' | 'open'>, { knex }: Pick<Database, 'knex'>) =>
  async (
    context: Pick<Context, 'caller'>,
    snapshot: Snapshot,
    { paths: texts, prefix, since }: WatchRequest,
  ): Promise<Release<OpenWatch>> => {
    const { caller } = context
    const { holder, may, mayUnder, actor, live } = secretCaller(context, snapshot)
    const paths = [...new Set(texts)].map((text, n) => secretPath(text, `/query/path/${n}`))
    const errors = paths.flatMap((path, n) => (may('watch', path) ? [] : [{ pointer: `/query/path/${n}`, detail }]))
    if (prefix !== undefined && !mayUnder('watch', prefix)) errors.push({ pointer: '/query/prefix', detail })
    if (errors.length > 0) throw refuse('not_granted', { errors: errors.slice(0, 20) })
    watches.admit(holder)
    const names = paths.map(({ path }) => path)
    const detailOfEntry = await logged(knex, names, prefix)
    const until = credentialEnd(context, snapshot)
    const watcher = {
      holder,
      caller,
      paths: names,
      ...(prefix !== undefined && { prefix }),
      ...(until && { until }),
      ...(since && { since }),
    }
    return {
      result: watches.open(watcher),
      entry: { ...(actor && { actor }), detail: detailOfEntry },
      ...(live && { effects: live }),
      // The open stream is judged again by each newer snapshot.
      holds: (newer) => isAllowedAlike(context, actor, newer, (newerCaller) => mayWatchAll(newerCaller, names, prefix)),
    }
  }

function mayWatchAll(
  { may, mayUnder }: Pick<SecretCaller, 'may' | 'mayUnder'>,
  paths: readonly string[],
  prefix?: string,
): boolean {
  if (prefix !== undefined && !mayUnder('watch', prefix)) return false
  return paths.every((path) => may('watch', parseSecretPath(path)))
}

/** Names that exist, and the number of the others: a name that was typed by mistake may be anything. */
async function logged(
  knex: Knex,
  paths: readonly string[],
  prefix: string | undefined,
): Promise<Record<string, unknown>> {
  const existing = [...(await findSecrets(knex, paths)).keys()]
  const under = prefix === undefined ? [] : await listSecrets(knex, { from: prefix, before: endOfPrefix(prefix) }, 1)
  const hasPrefix = under.length > 0
  return {
    ...(existing.length > 0 && { paths: existing }),
    ...(existing.length < paths.length && { unknown: paths.length - existing.length }),
    ...(prefix !== undefined && { prefix: hasPrefix ? prefix : 'unknown' }),
  }
}

function credentialEnd({ caller }: Pick<Context, 'caller'>, { apiTokens }: Snapshot): Date | undefined {
  if (caller.kind === 'operator' && !caller.session) return apiTokens.get(caller.tokenId)?.expiresAt
  if (caller.kind !== 'operator' && caller.kind !== 'session') return undefined
  const { until, session } = caller
  return until < session.expiresAt ? until : session.expiresAt
}
