/** Rotates a database password between two roles that take turns. A value is `{ "username", "password" }`. */
import { type Problem } from '../../errors.ts'
import { byName } from '../../store/registrations.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import { type Snapshot, type Snapshots, wholeOf } from '../../store/snapshot.ts'
import { type AdminParts, asAdmin } from '../databases/admin.ts'
import { closeRole, openRole } from '../databases/alternate.ts'
import { type Credential, opens } from '../databases/connect.ts'
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

/** The schema of openapi.yaml validates the shape. */
const isPostgres = (config: RotatorConfig): config is PostgresConfig => Array.isArray(config['roles'])

function readConfig(config: RotatorConfig): PostgresConfig {
  if (isPostgres(config)) return config
  throw untouched('bad_policy', 'the policy names no roles')
}

const untouched = (code: string, detail: string): RotatorError => new RotatorError(code, detail, { untouched: true })

const notListed = (list: 'owners' | 'roles'): string =>
  `is not among rotation.${list} of the database: an admin adds it there first`

/** Shorter passwords can be guessed from a stolen verifier. */
const minPasswordLength = 22

export function postgres(parts: PostgresRotatorParts): Rotator {
  const { snapshots, randomBytes } = parts

  function databaseOf({ database }: Pick<PostgresConfig, 'database'>): DatabaseRow {
    const row = byName(snapshots.current().databases, database)
    const detail = 'the database of the policy is not configured any more'
    if (!row) throw new RotatorError('no_database', detail, { hopeless: true })
    return row
  }

  const takes = (config: PostgresConfig, credential: Credential): Promise<boolean> =>
    asRotatorErrors(() => opens(definitionOf(databaseOf(config)), credential))

  /** A value from before the policy names a role that Purser never touches; it may be recorded as ended only once it no longer works. */
  async function checkEnded(config: PostgresConfig, { username, password }: SecretData): Promise<void> {
    if (typeof username !== 'string' || typeof password !== 'string') return
    if (!(await takes(config, { username, password }))) return
    throw new RotatorError(
      'not_ours',
      'the earlier value is of a role outside the policy, and still works: end it by hand',
    )
  }

  async function close(config: PostgresConfig, username: string): Promise<void> {
    const verifier = await scramVerifier(newPassword(randomBytes), randomBytes)
    await asRotatorErrors(() => asAdmin(parts, databaseOf(config), (session) => closeRole(session, username, verifier)))
  }

  return {
    kind: 'postgres',
    effects: true,

    check(config, snapshot) {
      const { database, owner, roles } = readConfig(config)
      const problems: Problem[] = []
      const add = (pointer: string, detail: string | undefined): void => {
        if (detail === undefined || problems.some((problem) => problem.pointer === pointer)) return
        problems.push({ pointer, detail })
      }
      const row = byName(snapshot.databases, database)
      add('/database', row ? undefined : 'there is no database of that name')
      add('/owner', faultOfRole(owner))
      const definition = row && definitionOf(row)
      const allowed = definition?.rotation ?? { owners: [], roles: [] }
      if (row && !allowed.owners.includes(owner)) add('/owner', notListed('owners'))
      const reserved = new Set([owner, ...(definition ? adminsAt(definition, wholeOf(snapshot)) : [])])
      roles.forEach((role, n) => {
        add(`/roles/${n}`, faultOfRole(role))
        if (reserved.has(role)) add(`/roles/${n}`, 'must be neither the owner, an administrator, nor the other role')
        if (isLikeRoleName(role)) add(`/roles/${n}`, 'is what the role of a lease is called')
        if (row && !allowed.roles.includes(role)) add(`/roles/${n}`, notListed('roles'))
        reserved.add(role)
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
      if (typeof password !== 'string' || password.length < minPasswordLength || !/^[!-~]+$/.test(password))
        problems.push({
          pointer: '/password',
          detail: `must be ${minPasswordLength} or more characters of printable ASCII`,
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
      const { owner, create = false, ...policy } = readConfig(config)
      const { username, password } = credentialOf(staged, policy)
      // The live password would stop working for its consumers.
      if (username === current?.['username'] && password !== current['password'])
        throw untouched('same_role', 'the new value is of the role that the live one is of')
      const verifier = await scramVerifier(password, randomBytes)
      await asRotatorErrors(() =>
        asAdmin(parts, databaseOf(policy), (session) => openRole(session, { username, owner, verifier, create })),
      )
    },

    async retire({ config, ended, remaining }) {
      const policy = readConfig(config)
      if (!ended) {
        for (const role of policy.roles) if (role !== remaining['username']) await close(policy, role)
        return
      }
      const { username } = ended
      if (typeof username !== 'string') return
      if (!policy.roles.includes(username)) return checkEnded(policy, ended)
      // A role has one password: of two values with one role, the earlier ended when the later was set.
      if (username !== remaining['username']) await close(policy, username)
    },

    async works({ config, data }) {
      const policy = readConfig(config)
      return takes(policy, credentialOf(data, policy))
    },
  }
}

/** Roles belong to a server, not to one of its databases. */
const serverOf = ({ host, port }: Target): string => `${host.toLowerCase()}:${port}`

/** The name that a policy claims for the role whose password it sets. */
export const roleAt = (target: Target, role: string): string => `${serverOf(target)} ${role}`

const adminsAt = (target: Target, { databases }: Snapshot): string[] =>
  [...databases.values()]
    .map(definitionOf)
    .filter((definition) => serverOf(definition) === serverOf(target))
    .map(({ admin }) => admin.username)

/** Refuses values that name another role than the policy's. */
function credentialOf({ username, password }: SecretData, { roles }: Pick<PostgresConfig, 'roles'>): Credential {
  if (typeof username !== 'string' || typeof password !== 'string' || !roles.includes(username))
    throw untouched('not_ours', 'the value is of no role of the policy')
  return { username, password }
}

async function asRotatorErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof TargetError ? new RotatorError(error.fault, error.detail) : error
  }
}
