/** Writes a version from the live one and a merge patch (RFC 7396) of its first level: null removes a member. */
import { refuse } from '../../errors.ts'
import { isReadable } from '../../secrets/read.ts'
import { type SecretData, openData } from '../../secrets/value.ts'
import { readVersions } from '../../store/secret-versions.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { type WriteParts, type WrittenSecret, writableSecret, writeVersion } from './write.ts'

type Input = { path: string; expected: number; data: SecretData }

export const createPatchSecret =
  (parts: WriteParts): ChangeAction<Input, WrittenSecret> =>
  async (context, tx, snapshot, { path, expected, data }) => {
    const secret = await writableSecret(parts.rotators, path, tx, snapshot)
    checkRevision(expected, secret.version)
    const [current] = await readVersions(tx, [{ secretId: secret.id, version: secret.version }])
    if (!current || !isReadable(current, secret, context.time))
      throw refuse('not_found', { detail: 'the live version has no value: put one' })
    const isRemoved = (name: string): boolean => Object.hasOwn(data, name) && data[name] === null
    const members = Object.entries({ ...openData(parts.keyring, secret, current), ...data })
    const merged = Object.fromEntries(members.filter(([name]) => !isRemoved(name)))
    return writeVersion(parts, context, tx, secret, { path, data: merged, source: 'patch' })
  }
