/** The reader of secrets: a workload within its grants, which are judged at each use, or an operator with a reason. */
import type { Actor } from '../../audit/entry.ts'
import { type SecretAction, maySecret, maySecretUnder, secretRoots } from '../../authorize/secret-grants.ts'
import { sessionGrant } from '../../authorize/session-grant.ts'
import { refuse } from '../../errors.ts'
import { hasSecretPath, hasSecretsUnder, secretRootsOf } from '../../names/bound.ts'
import type { SecretPath } from '../../names/secret-path.ts'
import type { Effects } from '../../store/effects.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, nameOf } from '../context.ts'

export type SecretCaller = {
  /** As the log and the list of consumers name who holds what was read. */
  holder: string
  may: (action: SecretAction, path: SecretPath) => boolean
  /** Whether it could be granted any path that begins so. */
  mayUnder: (action: SecretAction, prefix: string) => boolean
  /** Texts of which one begins every path that it may have. */
  roots: (action: SecretAction) => readonly string[]
  actor?: Actor
  /** The caller's session and the facts that `may` judges by, for the append to check. */
  live?: Pick<Effects, 'liveSession' | 'facts'>
}

/** @throws Refusal `token_type` for any other caller */
export function secretCaller({ caller }: Pick<Context, 'caller'>, snapshot: Snapshot): SecretCaller {
  if (caller.kind === 'operator') {
    const { bound } = caller
    return {
      holder: nameOf(caller),
      may: (_, { path }) => hasSecretPath(bound, path),
      mayUnder: (_, prefix) => hasSecretsUnder(bound, prefix),
      roots: () => secretRootsOf(bound),
    }
  }
  if (caller.kind !== 'session') throw refuse('token_type')
  const { session } = caller
  const decision = sessionGrant(snapshot, session)
  if (!decision) throw refuse('unauthenticated')
  const { entry, grant } = decision
  return {
    holder: session.id,
    may: (action, path) => maySecret(grant.secrets, action, path),
    mayUnder: (action, prefix) => maySecretUnder(grant.secrets, action, prefix),
    roots: (action) => secretRoots(grant.secrets, action),
    actor: {
      kind: 'workload',
      workload: entry.row.name,
      revision: entry.row.revision,
      attestorId: session.attestorId,
    },
    live: { liveSession: session.id, facts: session.facts },
  }
}

/** Whether a newer snapshot has the same revision of the caller's entry, which the log entry names, and still allows it. */
export function isAllowedAlike(
  context: Pick<Context, 'caller'>,
  actor: Actor | undefined,
  newer: Snapshot,
  isAllowed: (caller: SecretCaller) => boolean,
): boolean {
  const caller = secretCaller(context, newer)
  return caller.actor?.revision === actor?.revision && isAllowed(caller)
}
