import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['purser-source'] },
  ssr: { resolve: { conditions: ['purser-source'] } },
  test: {
    include: ['test/interop/**/*.test.ts'],
    exclude: ['test/interop/postgres/**'],
    globalSetup: ['test/interop/global-setup.ts', 'test/support/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
})
