/** Creates the API token of a login session. */
import type { Change } from '../../audit/record.ts'
import { isLiveToken } from '../../operators/admins.ts'
import type { Knex } from '../../store/database.ts'
import type { ApiTokenRow, OperatorRow, Role } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import { type ApiTokenParts, type CreatedToken, newApiToken } from '../tokens/new-api-token.ts'

export type SessionParts = ApiTokenParts & {
  /** After so long without a request, the session of a browser ends. */
  idleSeconds: number
}

export const maxSessionSeconds = 12 * 3600
/** Live sessions of one operator: a further login ends the oldest. */
const maxSessions = 20

type Session = {
  operator: Pick<OperatorRow, 'name' | 'bound'>
  role: Role
  createdAt: Date
  loginBy?: string
  lifetimeSeconds: number | undefined
  /** The session is that of a browser, which others may use when its person is away. */
  isBrowser: boolean | undefined
}

/** @param detail what the entry says about the login */
export async function newSession(
  parts: SessionParts,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { operator: { name, bound }, lifetimeSeconds = maxSessionSeconds, isBrowser, ...session }: Session,
  detail: Record<string, unknown>,
): Promise<Change<CreatedToken>> {
  const { createdAt: now } = session
  const ended = oldestSessions(snapshot, name, now)
  for (const { id } of ended) await revokeApiToken(tx, id, now)
  const {
    result,
    entry,
    changed = [],
  } = await newApiToken(parts, tx, {
    ...session,
    operator: name,
    ...(bound && { bound }),
    lifetimeSeconds,
    ...(isBrowser && { idleSeconds: parts.idleSeconds }),
    login: true,
  })
  return {
    result,
    entry: {
      ...entry,
      actor: { kind: 'operator', operator: name, tokenId: result.id },
      detail: { ...detail, ...(ended.length > 0 && { endedSessions: ended.map(({ id }) => id) }) },
    },
    changed: [...changed, ...ended.map(({ id }) => ({ table: 'api_token' as const, where: { id } }))],
  }
}

/** Those that make room for one more. */
function oldestSessions({ apiTokens }: Snapshot, operator: string, now: Date): ApiTokenRow[] {
  const live = [...apiTokens.values()].filter((row) => row.login && row.operator === operator && isLiveToken(row, now))
  const byAge = live.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())
  return byAge.slice(0, Math.max(0, live.length - maxSessions + 1))
}
