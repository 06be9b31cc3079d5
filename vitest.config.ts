import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The files that take longest. They start first: one that started last would run alone. */
const longest = [
  'cli/serve',
  'sdk/databases',
  'cli/demo',
  'store/lease-plans',
  'http/watch',
  'http/secret-matrix',
  'http/rotation',
  'jobs/rotation',
  'http/lease-faults',
  'cli/credentials-watch',
  'http/secret-canaries',
].map((name) => `/test/${name}.test.ts`)

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => longest.some((name) => moduleId.endsWith(name))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  resolve: { conditions: ['purser-source'] },
  ssr: { resolve: { conditions: ['purser-source'] } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**', 'test/crash/**', 'test/package/**'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 180_000,
    // One more than the cores that CI has: many tests wait for a timer or a process.
    maxWorkers: 3,
    // Files share their process: imports and compiled code are the larger part of a short file's time.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // A machine that is busy takes longer; what never comes still fails.
    expect: { poll: { timeout: 30_000 } },
  },
})
