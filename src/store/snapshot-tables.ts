/** Converts the rows of each table of the snapshot to Purser's own types, or to undefined for deleted rows. */
import { isReleasable } from './blocks.ts'
import type {
  AccountPinRow,
  ApiTokenRow,
  AttestorRow,
  BlockKind,
  BlockRow,
  DatabaseRow,
  KeyKind,
  KeyRow,
  Role,
  WorkloadRow,
} from './rows.ts'

/** `read` declares the type of the table's rows, which Knex returns untyped. */
export type Table<R, T> = { name: string; read: (row: R) => ChangedRow<T> }
const table = <R, T>(name: string, read: Table<R, T>['read']): Table<R, T> => ({ name, read })

/** A row by its id. Deleted rows have no value. */
export type ChangedRow<T> = [id: string, value: T | undefined]

export type AttestorRecord = {
  id: string
  name: string
  kind: string
  issuer: string | null
  audience: string | null
  spiffe_id_prefix: string
  definition: Record<string, unknown>
  revision: number
  deleted_at: Date | null
}

export type WorkloadRecord = {
  id: string
  name: string
  attestor_id: string
  definition: Record<string, unknown>
  disabled: boolean
  revision: number
  deleted_at: Date | null
}

export type KeyRecord = {
  id: string
  kind: KeyKind
  algorithm: string
  public_key: Buffer
  wrapped: Buffer
  wrapping_key_id: string
  issuer_key_id: string | null
  chain: string | null
  created_at: Date
  active_at: Date
  retire_at: Date
  gone_at: Date
  withdrawn_at: Date | null
  epoch: number | null
  from_size: string | null
  to_size: string | null
}

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
  attestors: table('attestor', (row: AttestorRecord) => [
    row.id,
    row.deleted_at
      ? undefined
      : {
          id: row.id,
          name: row.name,
          kind: row.kind,
          ...(row.issuer !== null && { issuer: row.issuer }),
          ...(row.audience !== null && { audience: row.audience }),
          spiffeIdPrefix: row.spiffe_id_prefix,
          definition: row.definition,
          revision: row.revision,
        },
  ]),
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
  blocks: table(
    'block',
    (row: {
      id: string
      kind: BlockKind
      value: string
      key_id: string | null
      reason: string | null
      at: Date
      until: Date
      revocation: string | null
      workload_id: string | null
    }) => [
      row.id,
      {
        id: row.id,
        kind: row.kind,
        value: row.value,
        ...(row.key_id !== null && { keyId: row.key_id }),
        ...(row.reason !== null && { reason: row.reason }),
        at: row.at,
        until: row.until,
        // Blocks of single credentials are many, and need no revocation in memory.
        ...(row.revocation !== null && isReleasable(row) && { revocation: row.revocation }),
        ...(row.workload_id !== null && { workloadId: row.workload_id }),
      },
    ],
  ),
  apiTokens: table(
    'api_token',
    (row: {
      id: string
      hash: Buffer
      operator: string
      role: Role
      created_at: Date
      expires_at: Date
      revoked_at: Date | null
      first_used_at: Date | null
    }) => [
      row.id,
      {
        id: row.id,
        hash: row.hash.toString('base64'),
        operator: row.operator,
        role: row.role,
        createdAt: row.created_at,
        expiresAt: row.expires_at,
        ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
        used: row.first_used_at !== null,
      },
    ],
  ),
  keys: table('signing_key', (row: KeyRecord) => [
    row.id,
    {
      id: row.id,
      kind: row.kind,
      algorithm: row.algorithm,
      publicKey: row.public_key,
      wrapped: row.wrapped,
      wrappingKeyId: row.wrapping_key_id,
      ...(row.issuer_key_id !== null && { issuerKeyId: row.issuer_key_id }),
      ...(row.chain !== null && { chain: row.chain }),
      createdAt: row.created_at,
      activeAt: row.active_at,
      retireAt: row.retire_at,
      goneAt: row.gone_at,
      ...(row.withdrawn_at !== null && { withdrawnAt: row.withdrawn_at }),
      ...(row.epoch !== null && { epoch: row.epoch }),
      ...(row.from_size !== null && { fromSize: Number(row.from_size) }),
      ...(row.to_size !== null && { toSize: Number(row.to_size) }),
    },
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
  keys: Table<never, KeyRow>
  databases: Table<never, DatabaseRow>
}

/** The rows of each table that changed, in the order of their changes; absent where none did. */
export type ChangedRows = {
  [N in keyof typeof tables]?: ReturnType<(typeof tables)[N]['read']>[] | undefined
}
