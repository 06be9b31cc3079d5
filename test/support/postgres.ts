/** A real Postgres for tests and benchmarks: a configured one, one in a container, or the one in node_modules. */
import { type OwnOptions, type OwnPostgres as Own, startOwn } from '../../src/cli/demo/postgres/own.ts'
import { startContainer } from './postgres-container.ts'

export type TestPostgres = Pick<Own, 'url' | 'what' | 'stop'>

/** One whose process is ours, so that faults can be tried on it. */
export type OwnPostgres = Own

export const startOwnPostgres = (options: Omit<OwnOptions, 'env'> = {}): Promise<OwnPostgres> => {
  // Another version than that of node_modules (test/interop/postgres).
  const native = process.env['PURSER_TEST_POSTGRES']
  return startOwn({ ...(native !== undefined && { native }), ...options, env: process.env })
}

/**
 * The Postgres that tests use: `TEST_DATABASE_URL`, else a container engine with an image at hand, else our own.
 * @param native the folder of another version, which comes before all of them
 */
export async function startPostgres(native?: string): Promise<TestPostgres> {
  if (native !== undefined) return startOwnPostgres({ native })
  const url = process.env['TEST_DATABASE_URL']
  if (url) return { url, what: 'TEST_DATABASE_URL', stop: async () => undefined }
  return (await startContainer()) ?? (await startOwnPostgres())
}
