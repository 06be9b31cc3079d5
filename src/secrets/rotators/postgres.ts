/** The password of a database role, by two roles that take turns: a value is `{ "username", "password" }`. */
import { type Problem } from '../../errors.ts'
import { byName } from '../../store/registrations.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { Snapshot, Snapshots } from '../../store/snapshot.ts'
import { type AdminParts, asAdmin } from '../databases/admin.ts'
import { closeRole, openRole } from '../databases/alternate.ts'
import { type Credential, withConnection } from '../databases/connect.ts'
import { type Target, definitionOf } from '../databases/definition.ts'
import { faultOfRole } from '../databases/identifier.ts'
import { newPassword, scramVerifier } from '../databases/scram.ts'
import { TargetError } from '../databases/target-error.ts'
import { isLikeRoleName } from '../leases/role-name.ts'
import type { SecretData } from '../value.ts'
import { type Rotator, type RotatorConfig, RotatorError } from './rotator.ts'

type PostgresConfig = RotatorConfig & { database: string; owner: string; roles: string[]; create?: boolean }

export type PostgresRotatorParts = AdminParts & {
  snapshots: Pick<Snapshots, 'current'>
  randomBytes: (size: number) => Buffer
}

/** The API description has judged the shape. */
const isPostgres = (config: RotatorConfig): config is PostgresConfig => Array.isArray(config['roles'])

function readConfig(config: RotatorConfig): PostgresConfig {
  if (isPostgres(config)) return config
  throw untouched('bad_policy', 'the policy names no roles')
}

const untouched = (code: string, detail: string): RotatorError => new RotatorError(code, detail, { untouched: true })

/** Shorter ones can be guessed from a stolen verifier. */
const shortestPassword = 22

export function postgres(parts: PostgresRotatorParts): Rotator {
  const { snapshots, randomBytes } = parts

  function databaseOf({ database }: PostgresConfig): DatabaseRow {
    const row = byName(snapshots.current().databases, database)
    const gone = 'the database of the policy is not configured any more'
    if (!row) throw new RotatorError('no_database', gone, { hopeless: true })
    return row
  }

  async function opens(of: PostgresConfig, credential: Credential): Promise<boolean> {
    try {
      await withConnection(definitionOf(databaseOf(of)), credential, (session) => session.run('select 1'))
      return true
    } catch (error) {
      if (error instanceof TargetError && error.fault === 'wrong_credential') return false
      throw rotatorError(error)
    }
  }

  /** What came before the policy is of somebody else's role, which is never touched: but nobody says that it ended while it works. */
  async function checkEnded(of: PostgresConfig, { username, password }: SecretData): Promise<void> {
    if (typeof username !== 'string' || typeof password !== 'string') return
    if (!(await opens(of, { username, password }))) return
    throw new RotatorError(
      'not_ours',
      'the earlier value is of a role outside the policy, and still works: end it by hand',
    )
  }

  async function close(of: PostgresConfig, username: string): Promise<void> {
    const verifier = await scramVerifier(newPassword(randomBytes), randomBytes)
    await told(() => asAdmin(parts, databaseOf(of), (session) => closeRole(session, username, verifier)))
  }

  return {
    kind: 'postgres',
    effects: true,

    check(config, snapshot) {
      const { database, owner, roles } = readConfig(config)
      const problems: Problem[] = []
      const add = (pointer: string, detail: string | undefined): void => {
        if (detail !== undefined) problems.push({ pointer, detail })
      }
      const row = byName(snapshot.databases, database)
      add('/database', row ? undefined : 'there is no database of that name')
      add('/owner', faultOfRole(owner))
      const taken = new Set([owner, ...(row ? adminsAt(definitionOf(row), snapshot) : [])])
      roles.forEach((role, n) => {
        add(`/roles/${n}`, faultOfRole(role))
        if (taken.has(role)) add(`/roles/${n}`, 'must be neither the owner, an administrator, nor the other role')
        if (isLikeRoleName(role)) add(`/roles/${n}`, 'is what the role of a lease is called')
        taken.add(role)
      })
      return problems
    },

    claims(config, snapshot) {
      const { database, roles } = readConfig(config)
      const row = byName(snapshot.databases, database)
      if (!row) return []
      const target = definitionOf(row)
      return roles.map((role, n) => ({ pointer: `/roles/${n}`, name: roleAt(target, role) }))
    },

    checkSupplied(data, { config, current }) {
      const { roles } = readConfig(config)
      const { username, password } = data
      const problems: Problem[] = []
      if (typeof username !== 'string' || !roles.includes(username) || username === current?.['username'])
        problems.push({ pointer: '/username', detail: 'must be the role whose turn it is' })
      if (typeof password !== 'string' || password.length < shortestPassword || !/^[!-~]+$/.test(password))
        problems.push({
          pointer: '/password',
          detail: `must be ${shortestPassword} or more characters of printable ASCII`,
        })
      return problems
    },

    refusesAgain({ username, password }, { config, current }) {
      const { roles } = readConfig(config)
      if (typeof username !== 'string' || !roles.includes(username)) return 'it is of no role of the policy'
      const isLive = username === current?.['username'] && password !== current['password']
      return isLive ? 'it is of the role that the live value is of' : undefined
    },

    async next({ config, current }) {
      const [first = '', second = ''] = readConfig(config).roles
      return { username: current?.['username'] === first ? second : first, password: newPassword(randomBytes) }
    },

    async issue({ config, staged, current }) {
      const of = readConfig(config)
      const { username, password } = credentialOf(staged, of)
      // Its live password would stop working under everybody who holds it.
      if (username === current?.['username'] && password !== current['password'])
        throw untouched('same_role', 'the new value is of the role that the live one is of')
      const verifier = await scramVerifier(password, randomBytes)
      await told(() =>
        asAdmin(parts, databaseOf(of), (session) =>
          openRole(session, { username, owner: of.owner, verifier, create: of.create ?? false }),
        ),
      )
    },

    async retire({ config, ended, kept }) {
      const of = readConfig(config)
      if (!ended) {
        for (const role of of.roles) if (role !== kept['username']) await close(of, role)
        return
      }
      const { username } = ended
      if (typeof username !== 'string') return
      if (!of.roles.includes(username)) return checkEnded(of, ended)
      // A role has one password: where both are of one, the earlier is gone since the later was set.
      if (username !== kept['username']) await close(of, username)
    },

    async works({ config, data }) {
      const of = readConfig(config)
      return opens(of, credentialOf(data, of))
    },
  }
}

/** Roles belong to a whole server, whichever of its databases a definition names. */
const serverOf = ({ host, port }: Target): string => `${host.toLowerCase()}:${port}`

/** What a policy that sets the password of a role claims. */
export const roleAt = (target: Target, role: string): string => `${serverOf(target)} ${role}`

const adminsAt = (target: Target, { databases }: Snapshot): string[] =>
  [...databases.values()]
    .map(definitionOf)
    .filter((definition) => serverOf(definition) === serverOf(target))
    .map(({ admin }) => admin.username)

/** Only the roles of the policy are ever touched, whatever somebody wrote into the secret. */
function credentialOf({ username, password }: SecretData, { roles }: PostgresConfig): Credential {
  if (typeof username !== 'string' || typeof password !== 'string' || !roles.includes(username))
    throw untouched('not_ours', 'the value is of no role of the policy')
  return { username, password }
}

const rotatorError = (error: unknown): unknown =>
  error instanceof TargetError ? new RotatorError(error.fault, error.detail) : error

async function told(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw rotatorError(error)
  }
}
