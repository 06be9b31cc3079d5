/** A write of a secret in the format of the append, with values that no test opens. */
import { randomBytes } from 'node:crypto'
import type { Effects } from '../../src/store/effects.ts'

type SecretWrite = NonNullable<Effects['write']>

/** @param expected the revision of the secret that the writer read; the version follows it */
export const secretWrite = (
  expected: number,
  { id, path }: Pick<SecretWrite, 'id' | 'path'> = { id: 'sec_1', path: 'prod/db' },
): SecretWrite => ({
  id,
  path,
  expected,
  version: expected + 1,
  maxVersions: 10,
  at: new Date(),
  source: 'put',
  createdBy: 'operator:x',
  sealed: { wrappingKeyId: 'key', dataKey: randomBytes(32), ciphertext: randomBytes(64) },
  destroyed: [],
})
