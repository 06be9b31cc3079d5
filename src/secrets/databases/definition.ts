/** The definition of a database, and its faults. Grants are structured, not SQL. */
import { isIP } from 'node:net'
import type { Problem } from '../../errors.ts'
import { faultOfAnchors } from '../../keys/trust-anchors.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import { faultOfIdentifier, faultOfRole, faultOfSchema } from './identifier.ts'

const privilegesOf = {
  schema: ['usage', 'create'],
  tables: ['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger'],
  sequences: ['usage', 'select', 'update'],
  functions: ['execute'],
} as const

export type ObjectKind = keyof typeof privilegesOf

/** Without `names`: every object of that kind in the schema when the role is created. */
export type TargetGrant = { schema: string; objects: ObjectKind; names?: string[]; privileges: string[] }

export type RolesDefinition = { grants: TargetGrant[]; memberOf?: string[]; connectionLimit?: number }

/** What rotation policies may use. Without it, none sets passwords here. */
type RotationDefinition = {
  /** Roles without login that the roles of a policy may be members of. */
  owners: string[]
  /** Login roles whose passwords policies may set. */
  roles: string[]
}

export type TargetTls = { caPem?: string; serverName?: string; insecure?: boolean }

export type Target = { host: string; port: number; database: string; tls?: TargetTls }

export type DatabaseDefinition = Target & {
  name: string
  kind: 'postgres'
  /** Its password is sealed beside the definition. */
  admin: { username: string }
  roles: RolesDefinition
  rotation?: RotationDefinition
  defaultLifetimeSeconds: number
  maxLifetimeSeconds: number
  managedBy?: string
}

/** Definitions are checked before they are stored. */
const isDefinition = (value: Record<string, unknown>): value is DatabaseDefinition & Record<string, unknown> =>
  value.kind === 'postgres' && typeof value.host === 'string'

export function definitionOf({ id, definition }: Pick<DatabaseRow, 'id' | 'definition'>): DatabaseDefinition {
  if (isDefinition(definition)) return definition
  throw new Error(`the definition of ${id} is not one`)
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/** Every fault, with its pointer. */
export function faultsOf(definition: DatabaseDefinition): Problem[] {
  const { host, database, tls = {}, admin, roles, rotation, defaultLifetimeSeconds, maxLifetimeSeconds } = definition
  const faults: Problem[] = []
  const add = (pointer: string, detail: string | undefined): void => {
    if (detail !== undefined) faults.push({ pointer, detail })
  }
  add('/database', faultOfIdentifier(database))
  add('/admin/username', faultOfRole(admin.username))
  if (tls.insecure && !isLoopback(host)) add('/tls/insecure', 'only a server on this machine is reached without TLS')
  if (tls.caPem !== undefined) add('/tls/caPem', faultOfAnchors(tls.caPem))
  if (tls.insecure && (tls.caPem ?? tls.serverName) !== undefined)
    add('/tls', 'insecure goes without caPem and serverName')
  if (defaultLifetimeSeconds > maxLifetimeSeconds)
    add('/defaultLifetimeSeconds', 'must not be longer than maxLifetimeSeconds')
  roles.grants.forEach((grant, n) => faults.push(...faultsOfGrant(grant, `/roles/grants/${n}`)))
  roles.memberOf?.forEach((name, n) => {
    const pointer = `/roles/memberOf/${n}`
    add(pointer, faultOfRole(name))
    if (name === admin.username) add(pointer, 'must not be the administrative role')
  })
  rotation?.owners.forEach((name, n) => add(`/rotation/owners/${n}`, faultOfRole(name)))
  rotation?.roles.forEach((name, n) => add(`/rotation/roles/${n}`, faultOfRole(name)))
  return faults
}

function faultsOfGrant({ schema, objects, names, privileges }: TargetGrant, at: string): Problem[] {
  const faults: Problem[] = []
  const add = (pointer: string, detail: string | undefined): void => {
    if (detail !== undefined) faults.push({ pointer: at + pointer, detail })
  }
  add('/schema', faultOfSchema(schema))
  if (objects === 'schema' && names) add('/names', 'a grant on the schema itself has none')
  if (objects === 'functions' && names) add('/names', 'functions are granted as all of a schema')
  names?.forEach((name, n) => add(`/names/${n}`, faultOfIdentifier(name)))
  const allowed: readonly string[] = privilegesOf[objects]
  privileges.forEach((privilege, n) => {
    if (!allowed.includes(privilege)) add(`/privileges/${n}`, `must be one of ${allowed.join(', ')}`)
  })
  return faults
}
