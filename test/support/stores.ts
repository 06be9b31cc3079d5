/**
 * The stores of the front-door suites: Postgres, as in production. `PURSER_TEST_STORE=embedded` runs them on the
 * embedded store (`npm run test:embedded`); the suites of test/store require the same behaviour of both stores.
 */
export type StoreName = 'postgres' | 'embedded'

const isEmbedded = process.env['PURSER_TEST_STORE'] === 'embedded'

export const frontDoorStore: StoreName = isEmbedded ? 'embedded' : 'postgres'

/** For `describe.each`. */
export const frontDoorStores: readonly StoreName[] = [frontDoorStore]

/** For suites in which the stores differ, such as an offline verb beside a server. */
export const bothStores: readonly StoreName[] = ['postgres', 'embedded']
