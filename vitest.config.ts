import { defineConfig } from 'vitest/config'

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
    // A machine that is busy takes longer; what never comes still fails.
    expect: { poll: { timeout: 30_000 } },
  },
})
