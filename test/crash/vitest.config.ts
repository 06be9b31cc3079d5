import { defineConfig } from 'vitest/config'

/**
 * Servers as real processes that are killed, stopped and cut off under load: `npm run test:crash`, about 25 minutes on two
 * cores. For longer runs: PURSER_CRASH_KILLS (50), PURSER_CRASH_SECRET_KILLS (100), PURSER_CRASH_EMBEDDED_KILLS (5),
 * PURSER_CRASH_FLIPS (20), PURSER_CRASH_WRITES (10000), PURSER_CRASH_DRAINS (6), PURSER_CRASH_OUTAGE_MS (10000),
 * PURSER_CRASH_AWAY_MS (8000), PURSER_CRASH_LOST_GRANTS (1000), PURSER_CRASH_MTLS_SECONDS (300),
 * PURSER_CRASH_MTLS_PAIRS (25), PURSER_CRASH_MTLS_AWAY_MS (30000). A build that is newer than the sources is used, else the sources.
 */
export default defineConfig({
  resolve: { conditions: ['purser-source'] },
  ssr: { resolve: { conditions: ['purser-source'] } },
  test: {
    include: ['test/crash/**/*.test.ts'],
    globalSetup: ['test/crash/global-setup.ts'],
    testTimeout: 600_000,
    hookTimeout: 120_000,
    // Each file uses the whole machine.
    fileParallelism: false,
    // As for `npm test`: files share their imports.
    isolate: false,
  },
})
