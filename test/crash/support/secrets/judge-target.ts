/** Compares the target and the readers with the state of Purser: values, logins, open connections, roles. */
import type { Knex } from '../../../../src/store/database.ts'
import { rolesAt } from '../../../support/leases.ts'
import type { Evidence } from '../evidence.ts'
import { logsIn } from './borrowers.ts'
import type { SecretLab } from './lab.ts'
import type { Login } from './logins.ts'

type Stored = {
  path: string
  version: number
  live: boolean
  retired: boolean
  readable: boolean
  staged: boolean
}
type Value = { username?: string; password?: string }

async function storedVersions(knex: Knex): Promise<Stored[]> {
  const rows = await knex('secret_version as v')
    .join('secret as s', 's.id', 'v.secret_id')
    .select('s.path', 'v.version', 's.version as current', 'v.retired_at', 'v.ciphertext', 'v.staged')
  return rows.map((row) => ({
    path: row.path,
    version: row.version,
    live: row.version === row.current,
    retired: row.retired_at !== null,
    readable: row.retired_at === null && row.ciphertext !== null && !row.staged,
    staged: row.staged,
  }))
}

/** Every readable version still has the value that readers received before. */
async function readAll(
  lab: SecretLab,
  stored: readonly Stored[],
  evidence: Evidence,
): Promise<{ values: Map<string, Value>; problems: string[] }> {
  const values = new Map<string, Value>()
  const problems: string[] = []
  const readable = stored.filter((version) => version.readable)
  for (let at = 0; at < readable.length; at += 50) {
    const page = readable.slice(at, at + 50)
    const secrets = page.map(({ path, version }) => ({ path, version }))
    const reply = await lab.operate('POST', '/api/v1/secrets:read', { secrets }, { 'purser-reason': 'looked at again' })
    const read: { secrets: { path: string; version: number; data: Value }[] } = JSON.parse(reply.text)
    for (const { path, version, data } of read.secrets) values.set(`${path} ${version}`, data)
    for (const { path, version } of page)
      if (!values.has(`${path} ${version}`)) problems.push(`${path} version ${version} is not to be read`)
  }
  const byVersion = new Map(stored.map((version) => [`${version.path} ${version.version}`, version]))
  for (const [path, versions] of evidence.values) {
    for (const [version, before] of versions) {
      const row = byVersion.get(`${path} ${version}`)
      const now = values.get(`${path} ${version}`)
      if (!row) problems.push(`${path} version ${version} was read by a client, and is missing`)
      else if (row.readable && JSON.stringify(now) !== before)
        problems.push(`${path} version ${version} was read by a client, and has another value now`)
    }
  }
  return { values, problems }
}

const isLogin = (value: Value | undefined): value is Required<Value> =>
  value?.username !== undefined && value.password !== undefined

const keyOf = ({ username, password }: Value): string => JSON.stringify([username, password])

/** @param logins logins of readers, some of which are still open */
export async function judgeTarget(lab: SecretLab, knex: Knex, logins: readonly Login[]): Promise<string[]> {
  const { target, cluster, rotated } = lab
  const stored = await storedVersions(knex)
  const { values, problems } = await readAll(lab, stored, cluster.evidence)
  const alive = new Set([...values.values()].filter(isLogin).map(keyOf))
  const turns = rotated.filter((secret) => secret.roles !== undefined)

  for (const { path } of turns) {
    const live = stored.find((version) => version.path === path && version.live)
    const value = values.get(`${path} ${live?.version}`)
    if (!isLogin(value)) continue
    if (!(await logsIn(target, value.username, value.password)))
      problems.push(`the live version ${live?.version} of ${path} does not log in`)
  }
  for (const { path, version, retired } of stored) {
    const was = cluster.evidence.values.get(path)?.get(version)
    if (!retired || was === undefined) continue
    const value: Value = JSON.parse(was)
    // After a rollback, a retired version may have the value of the live one.
    if (!isLogin(value) || alive.has(keyOf(value))) continue
    if (await logsIn(target, value.username, value.password))
      problems.push(`version ${version} of ${path} is retired, and logs in`)
  }
  for (const login of logins)
    if (login.isOpen && !alive.has(keyOf(login))) problems.push(`a connection of ${login.username} outlived its value`)

  // Each role that may log in belongs to a readable value: no value was set at the target and then lost.
  const able = new Set(
    (await target.sql<{ rolname: string }>(`select rolname from pg_roles where rolcanlogin`)).map((row) => row.rolname),
  )
  const knownRoles = new Set([...values.values()].filter(isLogin).map((value) => value.username))
  for (const role of turns.flatMap((turn) => turn.roles ?? []))
    if (able.has(role) && !knownRoles.has(role)) problems.push(`${role} may log in, and no version says with what`)
  const members = await target.sql<{ role: string }>(
    `select roleid::regrole::text as role from pg_auth_members
      where member = 'purser_admin'::regrole and grantor = 'purser_admin'::regrole and (inherit_option or set_option)`,
  )
  for (const { role } of members) problems.push(`the administrator stayed a member of ${role}`)
  return problems
}

/** The roles of leases at the target are exactly those of open leases. */
export async function judgeRoles({ target }: SecretLab, knex: Knex): Promise<string[]> {
  const roles = new Set(await rolesAt(target))
  const open: string[] = await knex('lease').whereNull('ended_at').pluck('username')
  return [
    ...[...roles].filter((role) => !open.includes(role)).map((role) => `${role} has no lease`),
    ...open.filter((role) => !roles.has(role)).map((role) => `${role} of an open lease is gone`),
  ]
}
