/** Writes a version of a secret, and creates the secret where there is none. */
import type { Release } from '../../audit/record.ts'
import type { SecretData } from '../../secrets/value.ts'
import { readWriteState } from '../../store/secrets.ts'
import { type Context, checkRevision } from '../context.ts'
import { type WriteParts, type WrittenSecret, refuseUnwritable, writeVersion } from './write.ts'

/** `expected`: the live version that the caller read, 0 for a new secret. */
type Input = { path: string; expected: number; data: SecretData; expiresAt?: Date }

export const createPutSecret =
  (parts: WriteParts) =>
  async (context: Pick<Context, 'caller' | 'time'>, input: Input): Promise<Release<WrittenSecret>> => {
    const { path, expected, ...version } = input
    const state = await readWriteState(parts.db.knex, path)
    checkRevision(expected, state.secret?.version ?? 0)
    refuseUnwritable(parts, state)
    return writeVersion(parts, context, path, state, { ...version, source: 'put' })
  }
