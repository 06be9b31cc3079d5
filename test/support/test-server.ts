/** A Postgres for one test, with its own settings and faults. Each copies the data directory that the run shares. */
import { type OwnOptions, createData } from '../../src/cli/demo/postgres/own.ts'
import { type OwnPostgres, startOwnPostgres } from './postgres.ts'
import { sharedDirectory } from './shared-directory.ts'

export async function startTestServer(options: Omit<OwnOptions, 'env' | 'from'> = {}): Promise<OwnPostgres> {
  const native = process.env['PURSER_TEST_POSTGRES']
  const from = await sharedDirectory('postgres', (directory) =>
    createData(directory, { env: process.env, ...(native !== undefined && { native }) }),
  )
  return startOwnPostgres({ from, ...options })
}
