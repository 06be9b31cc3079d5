import { defineConfig } from 'vitest/config'

/** Servers as real processes, killed, stopped and cut off under load: `npm run test:crash`, see README.md. */
export default defineConfig({
  resolve: { conditions: ['purser-source'] },
  ssr: { resolve: { conditions: ['purser-source'] } },
  test: {
    include: ['test/crash/**/*.test.ts'],
    globalSetup: ['test/crash/global-setup.ts'],
    testTimeout: 600_000,
    hookTimeout: 120_000,
    // Each file loads the machine by itself.
    fileParallelism: false,
  },
})
