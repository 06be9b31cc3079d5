/**
 * Named statements of the hot path, without Knex's builder, which takes a tenth of the CPU of a write of a secret. Pool,
 * events, timeouts and errors are those of Knex.
 */
import type { Knex } from 'knex'

type Prepared = {
  /** A connection prepares the statement once: parsing and planning it takes as long as a sixth of a small append. */
  name: string
  sql: string
  bindings: unknown[]
  /** Milliseconds after which the answer counts as lost. */
  timeoutMs?: number
}

export async function queryPrepared<Row>(
  knex: Knex,
  { name, sql, bindings, timeoutMs }: Prepared,
): Promise<readonly Row[]> {
  const client: Knex.Client = knex.client
  const options = { name, ...(timeoutMs !== undefined && { query_timeout: timeoutMs }) }
  // In a transaction this is its own connection, which Knex keeps.
  const connection: unknown = await client.acquireConnection()
  try {
    const { response }: { response: { rows: Row[] } } = await client.query(connection, { sql, bindings, options })
    return response.rows
  } finally {
    await client.releaseConnection(connection)
  }
}
