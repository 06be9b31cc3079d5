/** A Purser in memory, for unit tests of programs that use the SDK. */
export { type TestConnectOptions, type Revocable, type TestPurser, createTestPurser } from './test-purser.ts'
export type { TestWorkload } from './entries.ts'
export type { TestLease } from './leases.ts'
export type { TestRequest } from './network.ts'
export type { RefusalCode } from './refusal.ts'
export type { TestConsumer } from './secrets.ts'
