/** Checks that an administrator may grant what a definition grants; a failure names the statement that helps. */
import type { Row, SqlSession } from './connect.ts'
import type { TargetGrant } from './definition.ts'
import { quoteIdentifier } from './identifier.ts'
import { objects } from './roles.ts'
import { TargetError } from './target-error.ts'

/** Queries for objects of each kind, by schema (`$1`) and, unless null, by names (`$2`). */
const catalogs = {
  tables: `select c.oid, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and ($2::text[] is null or c.relname = any($2)) and c.relkind in ('r', 'p', 'v', 'm', 'f')`,
  sequences: `select c.oid, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = $1 and ($2::text[] is null or c.relname = any($2)) and c.relkind = 'S'`,
  functions: `select p.oid, p.proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
               where n.nspname = $1 and ($2::text[] is null or p.proname = any($2)) and p.prokind in ('f', 'a', 'w')`,
}

const tests = {
  tables: 'has_table_privilege',
  sequences: 'has_sequence_privilege',
  functions: 'has_function_privilege',
}

/** Objects named in one message. */
const maxNames = 20

/** @throws TargetError where the schema does not exist, or cannot be granted */
export async function checkSchema(
  session: SqlSession,
  schema: string,
  privileges: string[],
  grantee: string,
): Promise<void> {
  const [row]: Row[] = await session.run(
    `select array(select p from unnest($2::text[]) p where not has_schema_privilege(oid, p || ' with grant option')) as lacking
       from pg_namespace where nspname = $1`,
    [schema, privileges],
  )
  if (!row) throw new TargetError('missing', 'there is no such schema')
  const lacking = textsOf(row['lacking'])
  if (lacking.length > 0) throw notGranted(lacking, `schema ${quoteIdentifier(schema)}`, grantee)
}

/** @throws TargetError where a named object does not exist, or cannot be granted */
export async function checkGrant(session: SqlSession, grant: TargetGrant, grantee: string): Promise<void> {
  const { schema, objects: kind, names, privileges } = grant
  if (kind === 'schema') return checkSchema(session, schema, privileges, grantee)
  const rows: Row[] = await session.run(
    `select name, array(select p from unnest($3::text[]) p where not ${tests[kind]}(oid, p || ' with grant option')) as lacking
       from (${catalogs[kind]}) as found order by name`,
    [schema, names ?? null, privileges],
  )
  const missing = names?.filter((name) => !rows.some((row) => row['name'] === name)) ?? []
  if (missing.length > 0)
    throw new TargetError('missing', `there is no ${objects[kind].single} ${missing.slice(0, maxNames).join(', ')}`)
  const lacked = rows.filter((row) => textsOf(row['lacking']).length > 0)
  if (lacked.length === 0) return
  const within = quoteIdentifier(schema)
  const on = names
    ? `${objects[kind].single} ${lacked
        .slice(0, maxNames)
        .map((row) => `${within}.${quoteIdentifier(String(row['name']))}`)
        .join(', ')}`
    : `${objects[kind].all} ${within}`
  const lacking = lacked.flatMap((row) => textsOf(row['lacking']))
  throw notGranted(
    privileges.filter((privilege) => lacking.includes(privilege)),
    on,
    grantee,
  )
}

const textsOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])

const notGranted = (privileges: readonly string[], on: string, grantee: string): TargetError =>
  new TargetError(
    'not_granted',
    `the administrator may not hand that on; by the owner: grant ${privileges.join(', ')} on ${on} to ${grantee} with grant option`,
  )
