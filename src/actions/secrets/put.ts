/** Writes a version of a secret, and creates the secret where there is none. */
import type { Hints, Release } from '../../audit/record.ts'
import type { SecretData } from '../../secrets/value.ts'
import { unusedPath } from '../../store/write-states.ts'
import { type Context, checkRevision } from '../context.ts'
import { type WriteParts, type WrittenSecret, refuseUnwritable, writeVersion } from './write.ts'

/** `expected`: the live version that the caller read, 0 for a new secret. */
type Input = { path: string; expected: number; data: SecretData; expiresAt?: Date }

export const createPutSecret =
  (parts: WriteParts) =>
  async (
    context: Pick<Context, 'caller' | 'time'>,
    { path, expected, ...version }: Input,
    { secretsMoved }: Hints,
  ): Promise<Release<WrittenSecret>> => {
    // A new secret mostly has an unused path, and the append refuses the write of one that is in use.
    const presumed = expected === 0 ? unusedPath : parts.written.find(path, expected)
    const state = presumed && !secretsMoved ? presumed : await parts.readWriteState(path)
    checkRevision(expected, state.secret?.version ?? 0)
    refuseUnwritable(parts, state)
    return writeVersion(parts, context, path, state, { ...version, source: 'put' })
  }
