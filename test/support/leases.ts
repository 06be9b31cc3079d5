/** A Purser with one database, and one workload `shop` that may have roles in it. */
import type { TargetServer } from './target.ts'
import { type Issuer, createIssuer, registerLab } from './issuer.ts'
import { type Answer, type Options, type TestPurser, startPurser } from './purser.ts'

type Issued = { name: string; lease: string; username: string; password: string; expiresAt: string }

export type Shop = {
  purser: TestPurser
  issuer: Issuer
  attest: (request?: object, sub?: string) => Promise<Answer>
  /** Attests, and returns the session, an access token, and a role in `orders`. */
  arrive: (sub?: string) => Promise<{ session: string; token: string; role: Issued; requestId: string }>
  lease: (id: string) => Promise<Record<string, unknown> & { state: string }>
}

export const definitionFor = (target: Pick<TargetServer, 'host' | 'port' | 'admin'>, more: object = {}) => ({
  name: 'orders',
  kind: 'postgres',
  host: target.host,
  port: target.port,
  database: 'orders',
  tls: { insecure: true },
  admin: target.admin,
  roles: { grants: [{ schema: 'shop', objects: 'tables', privileges: ['select', 'insert'] }] },
  rotation: {
    owners: ['orders_owner'],
    roles: [
      'orders_a',
      'orders_b',
      'orders_c',
      'orders_d',
      'orders_e',
      'gone_a',
      'gone_b',
      'foreign_a',
      'foreign_b',
      'elder_x',
      'elder_y',
    ],
  },
  defaultLifetimeSeconds: 600,
  maxLifetimeSeconds: 1200,
  ...more,
})

export const shopEntry = (grants: object = { databases: ['orders', 'nowhere'] }) => ({
  name: 'shop',
  attestor: 'lab',
  match: { 'oidc:sub': ['shop', 'other', 'ended'] },
  spiffeId: 'spiffe://example.org/lab/shop/{oidc:sub}',
  grants,
  maxSessionSeconds: 7200,
})

export function createShop(purser: TestPurser, issuer: Issuer): Shop {
  const attest: Shop['attest'] = async (request = {}, sub = 'shop') =>
    purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await issuer.token({ sub }) },
      ...request,
    })
  return {
    purser,
    issuer,
    attest,
    async arrive(sub) {
      const { status, body, text, headers } = await attest({ accessToken: {}, databases: ['orders'] }, sub)
      if (status !== 200) throw new Error(text)
      const [role] = body['databases'] as Issued[]
      if (!role) throw new Error('no role was issued')
      return {
        session: (body['session'] as { id: string }).id,
        token: (body['accessToken'] as { token: string }).token,
        role,
        requestId: headers.get('purser-request-id') ?? '',
      }
    },
    async lease(id) {
      const row = await purser.knex('lease').where({ id }).first()
      return row
    },
  }
}

export async function startShop(
  target: TargetServer,
  options: Options = { store: 'postgres' },
  more: object = {},
): Promise<Shop> {
  const purser = await startPurser(options)
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target, more))
  await purser.asAdmin('POST', '/api/v1/workloads', shopEntry())
  return createShop(purser, issuer)
}

/** The roles at the server that Purser created for leases. */
export async function rolesAt(target: Pick<TargetServer, 'sql'>): Promise<string[]> {
  const rows = await target.sql<{ rolname: string }>(
    `select rolname from pg_roles where rolname ~ '^purser_[0-9a-f]{8}_' order by 1`,
  )
  return rows.map((row) => row.rolname)
}
