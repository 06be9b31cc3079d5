/** A real Postgres for tests and benchmarks: a configured one, one in a container, or the one in node_modules. */
import { type OwnOptions, type OwnPostgres as Own, startOwn } from '../../src/cli/demo/postgres/own.ts'
import { startContainer } from './postgres-container.ts'

export type TestPostgres = Pick<Own, 'url' | 'what' | 'stop'>

/** A Postgres whose process the test controls, for faults. */
export type OwnPostgres = Own

export const startOwnPostgres = (options: Omit<OwnOptions, 'env'> = {}): Promise<OwnPostgres> => {
  // Another version than that of node_modules (test/interop/postgres).
  const native = process.env['PURSER_TEST_POSTGRES']
  return startOwn({ ...(native !== undefined && { native }), ...options, env: process.env })
}

/**
 * The Postgres of the tests: `TEST_DATABASE_URL`, else a container engine with an image, else our own.
 * @param native the folder of another version, which precedes all of them
 */
export async function startPostgres(native?: string): Promise<TestPostgres> {
  if (native !== undefined) return startOwnPostgres({ native })
  const url = process.env['TEST_DATABASE_URL']
  if (url) return { url, what: 'TEST_DATABASE_URL', stop: async () => undefined }
  return (await startContainer()) ?? (await startOwnPostgres())
}
