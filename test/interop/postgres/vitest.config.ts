/** The tests for each supported PostgreSQL, as Purser's own store and as a foreign database, and the restore drill. */
import { defineConfig } from 'vitest/config'
import { type Server, findDump, findServers, findStandby } from './servers.ts'

const resolve = { conditions: ['purser-source'] }

const administrators = 'test/interop/postgres/administrators.test.ts'

/** The suites closest to Postgres. `npm test` runs all but the last on the newest version. */
const onOlder = [
  'test/store/{append-only,append-plan,lease-plans,migrate,postgres,privileges}.test.ts',
  'test/secrets/target-*.test.ts',
  'test/http/{databases,leases,lease-faults,lease-bounds,rotation-postgres}.test.ts',
  administrators,
]

const project = ({ name, native }: Server, include: string[]) => ({
  resolve,
  ssr: { resolve },
  test: {
    name,
    include,
    env: { ...(native !== undefined && { PURSER_TEST_POSTGRES: native }) },
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 120_000,
    isolate: false,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000 } },
  },
})

export default defineConfig(async () => {
  const { servers, missing } = await findServers()
  const dump = await findDump()
  if (dump === undefined)
    missing.push('SKIPPED restore drill: no Postgres with pg_dump and pg_restore is installed (PURSER_TEST_DUMP names its folder)') // prettier-ignore
  const standby = await findStandby()
  if (standby === undefined)
    missing.push('SKIPPED fail-over to a standby: no Postgres with pg_basebackup is installed (PURSER_TEST_DUMP names its folder)') // prettier-ignore
  for (const line of missing) process.stdout.write(`${line}\n`)
  const projects = servers.map((server) => project(server, server.native === undefined ? [administrators] : onOlder))
  projects.push(project({ name: 'scale' }, ['test/interop/postgres/scale.test.ts']))
  if (dump !== undefined) projects.push(project({ name: 'dump', native: dump }, ['test/interop/postgres/dump.test.ts']))
  if (standby !== undefined)
    projects.push(project({ name: 'standby', native: standby }, ['test/interop/postgres/{standby,*.standby}.test.ts']))
  // As for `npm test`: many tests wait for a timer or a process.
  return { test: { projects, maxWorkers: 3 } }
})
