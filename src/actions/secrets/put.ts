/** Writes a version of a secret, and creates the secret where there is none. */
import type { SecretData } from '../../secrets/value.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { type WriteParts, type WrittenSecret, writableSecret, writeVersion } from './write.ts'

/** `expected`: the live version that the caller read, 0 for a new secret. */
type Input = { path: string; expected: number; data: SecretData; expiresAt?: Date }

export const createPutSecret =
  (parts: WriteParts): ChangeAction<Input, WrittenSecret> =>
  async (context, tx, snapshot, input) => {
    const { expected, ...version } = input
    const old = snapshot.secrets.get(input.path)
    checkRevision(expected, old?.version ?? 0)
    if (old) await writableSecret(parts.rotators, input.path, tx, snapshot)
    return writeVersion(parts, context, tx, old, { ...version, source: 'put' })
  }
