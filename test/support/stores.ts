/**
 * The stores that suites at the front door run on: Postgres, as production does. `PURSER_TEST_STORE=embedded` runs them
 * on the embedded store (`npm run test:embedded`); the suites of test/store hold both stores to the same behaviour.
 */
export type StoreName = 'postgres' | 'embedded'

const isEmbedded = process.env['PURSER_TEST_STORE'] === 'embedded'

export const frontDoorStore: StoreName = isEmbedded ? 'embedded' : 'postgres'

/** For `describe.each`. */
export const frontDoorStores: readonly StoreName[] = [frontDoorStore]

/** Of suites in which the stores differ: what an offline verb does beside a server, say. */
export const bothStores: readonly StoreName[] = ['postgres', 'embedded']
