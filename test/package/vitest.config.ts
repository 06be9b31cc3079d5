import { defineConfig } from 'vitest/config'

/**
 * What users install: the packages in an empty folder, run and type-checked there, and the demo. `npm run
 * test:package`.
 */
export default defineConfig({
  resolve: { conditions: ['purser-source'] },
  ssr: { resolve: { conditions: ['purser-source'] } },
  test: {
    include: ['test/package/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
