import type { Change } from '../../audit/record.ts'
import { rfc3339 } from '../../issue/lifetime.ts'
import type { Bound } from '../../names/bound.ts'
import { newToken } from '../../names/token.ts'
import type { Knex } from '../../store/database.ts'
import type { Role } from '../../store/rows.ts'
import { type WrittenBound, shownBound } from '../operators/state.ts'
import { insertApiToken } from '../../store/tokens.ts'

export type ApiTokenParts = { randomBytes: (size: number) => Buffer }

type TokenSpec = {
  operator: string
  role: Role
  routes?: readonly string[]
  bound?: Bound
  description?: string
  createdAt: Date
  lifetimeSeconds: number
  /** A login session. Its first use is not recorded: the login is. */
  login?: true
  /** The mapping of an OpenID login. */
  loginBy?: string
  idleSeconds?: number
}

/** The value is in this result alone. */
export type CreatedToken = {
  id: string
  token: string
  operator: string
  role: Role
  routes?: readonly string[]
  bound: WrittenBound
  description?: string
  createdAt: string
  expiresAt: string
  login?: true
}

/** Creates an API token. The entry names its public id. */
export async function newApiToken(
  { randomBytes }: ApiTokenParts,
  tx: Knex.Transaction,
  { lifetimeSeconds, ...spec }: TokenSpec,
): Promise<Change<CreatedToken>> {
  const { token, id, hash } = newToken('api', randomBytes)
  const expires = new Date(spec.createdAt.getTime() + lifetimeSeconds * 1000)
  const { operator, role, routes, bound, description, login, createdAt } = spec
  await insertApiToken(tx, { id, hash, ...spec, expiresAt: expires, ...(login && { firstUsedAt: createdAt }) })
  const expiresAt = rfc3339(expires)
  const state = {
    operator,
    role,
    ...(routes && { routes }),
    bound: shownBound(bound),
    ...(description !== undefined && { description }),
    expiresAt,
    ...(login && { login }),
  }
  return {
    result: { id, token, ...state, createdAt: rfc3339(createdAt) },
    entry: {
      resource: { kind: 'api-token', id, name: operator },
      issued: { apiToken: { id, expiresAt } },
      change: { after: state },
    },
    changed: [{ table: 'api_token', where: { id } }],
  }
}
