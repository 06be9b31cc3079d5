/** Converts the rows of each table of the snapshot to Purser's own types, or to undefined for deleted rows. */
import type { Bound } from '../names/bound.ts'
import { isReleasable } from './blocks.ts'
import { type Columns, membersExcept } from './columns.ts'
import type {
  AccountPinRow,
  ApiTokenRow,
  AttestorRow,
  BlockRow,
  DatabaseRow,
  KeyRow,
  OperatorRow,
  Role,
  WorkloadRow,
} from './rows.ts'

/** `read` declares the type of the table's rows, which Knex returns untyped. */
export type Table<R, T> = { name: string; read: (row: R) => ChangedRow<T> }
const table = <R, T>(name: string, read: Table<R, T>['read']): Table<R, T> => ({ name, read })

/** A row by its id. Deleted rows have no value. */
export type ChangedRow<T> = [id: string, value: T | undefined]

/** Not members: the number of the row's last change, and whether it was deleted. */
const stamps = ['changed', 'deleted_at']

/** A row of a table that keeps its deleted rows. */
type Registered<T> = Columns<T> & { id: string; deleted_at: Date | null }

const registrations = <T>(name: string): Table<Registered<T>, T> =>
  table(name, (row) => [row.id, row.deleted_at ? undefined : membersExcept<T>(row, stamps)])

export type OperatorRecord = Registered<OperatorRow>
export type AttestorRecord = Registered<AttestorRow>
export type WorkloadRecord = Registered<WorkloadRow>
/** PostgreSQL's bigints come as text. */
export type KeyRecord = Omit<Columns<KeyRow>, 'from_size' | 'to_size'> & Record<'from_size' | 'to_size', string | null>

const sizeOf = (size: string | null): number | null => (size === null ? null : Number(size))

export type DatabaseRecord = {
  id: string
  name: string
  kind: string
  definition: Record<string, unknown>
  revision: number
  wrapping_key_id: string | null
  data_key: Buffer | null
  ciphertext: Buffer | null
  created_at: Date
  deleted_at: Date | null
}

export const tables = {
  attestors: registrations<AttestorRow>('attestor'),
  // Written out, since they are many.
  workloads: table('workload', (row: WorkloadRecord) => [
    row.id,
    row.deleted_at
      ? undefined
      : {
          id: row.id,
          name: row.name,
          attestorId: row.attestor_id,
          definition: row.definition,
          disabled: row.disabled,
          revision: row.revision,
          ...(row.bound !== null && { bound: row.bound }),
        },
  ]),
  pins: table(
    'account_pin',
    (row: { attestor_id: string; account: string; uid: string; first_seen: Date; superseded_at: Date | null }) => [
      row.uid,
      {
        attestorId: row.attestor_id,
        account: row.account,
        uid: row.uid,
        firstSeen: row.first_seen,
        superseded: row.superseded_at !== null,
      },
    ],
  ),
  // Blocks of single credentials are many, and need no revocation in memory.
  blocks: table('block', (row: Columns<BlockRow>) => [
    row.id,
    membersExcept<BlockRow>({ ...row, revocation: isReleasable(row) ? row.revocation : null }, [
      'session_id',
      ...stamps,
    ]),
  ]),
  apiTokens: table(
    'api_token',
    (row: {
      id: string
      hash: Buffer
      operator: string
      role: Role
      own_role: Role | null
      routes: string[] | null
      bound: Bound | null
      description: string | null
      created_at: Date
      expires_at: Date
      revoked_at: Date | null
      first_used_at: Date | null
      login: boolean
      login_by: string | null
    }) => [
      row.id,
      {
        id: row.id,
        hash: row.hash.toString('base64'),
        operator: row.operator,
        role: row.own_role ?? row.role,
        ...(row.routes !== null && { routes: row.routes }),
        ...(row.bound !== null && { bound: row.bound }),
        ...(row.description !== null && { description: row.description }),
        createdAt: row.created_at,
        expiresAt: row.expires_at,
        ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
        used: row.first_used_at !== null,
        ...(row.login && { login: true }),
        ...(row.login_by !== null && { loginBy: row.login_by }),
      },
    ],
  ),
  // By name. Of a name that was used again the living row is the last change.
  operators: table('operator', (row: OperatorRecord) => [
    row.name,
    row.deleted_at ? undefined : membersExcept<OperatorRow>(row, stamps),
  ]),
  keys: table('signing_key', (row: KeyRecord) => [
    row.id,
    membersExcept<KeyRow>({ ...row, from_size: sizeOf(row.from_size), to_size: sizeOf(row.to_size) }, stamps),
  ]),
  databases: table('database', (row: DatabaseRecord) => [
    row.id,
    row.deleted_at
      ? undefined
      : {
          id: row.id,
          name: row.name,
          kind: row.kind,
          definition: row.definition,
          revision: row.revision,
          ...(row.wrapping_key_id !== null &&
            row.data_key !== null &&
            row.ciphertext !== null && {
              admin: { wrappingKeyId: row.wrapping_key_id, dataKey: row.data_key, ciphertext: row.ciphertext },
            }),
          createdAt: row.created_at,
        },
  ]),
} satisfies {
  attestors: Table<never, AttestorRow>
  workloads: Table<never, WorkloadRow>
  pins: Table<never, AccountPinRow>
  blocks: Table<never, BlockRow>
  apiTokens: Table<never, ApiTokenRow>
  operators: Table<never, OperatorRow>
  keys: Table<never, KeyRow>
  databases: Table<never, DatabaseRow>
}

/** The rows of each table that changed, in the order of their changes; absent where none did. */
export type ChangedRows = {
  [N in keyof typeof tables]?: ReturnType<(typeof tables)[N]['read']>[] | undefined
}
