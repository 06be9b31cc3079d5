/** Writes a version from the live one and a merge patch (RFC 7396) of its first level: null removes a member. */
import type { Release } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { isReadable } from '../../secrets/read.ts'
import { type SecretData, openData } from '../../secrets/value.ts'
import { readVersions } from '../../store/secret-versions.ts'
import { type Context, checkRevision } from '../context.ts'
import { type WriteParts, type WrittenSecret, refuseUnwritable, writeVersion } from './write.ts'

type Input = { path: string; expected: number; data: SecretData }

export const createPatchSecret =
  (parts: WriteParts) =>
  async (
    context: Pick<Context, 'caller' | 'time'>,
    { path, expected, data }: Input,
  ): Promise<Release<WrittenSecret>> => {
    const { db, keyring } = parts
    const state = await parts.readWriteState(path)
    const { secret } = state
    if (!secret) throw refuse('not_found')
    refuseUnwritable(parts, state)
    checkRevision(expected, secret.version)
    const [current] = await readVersions(db.knex, [{ secretId: secret.id, version: secret.version }])
    if (!current || !isReadable(current, secret, context.time))
      throw refuse('not_found', { detail: 'the live version has no value: put one' })
    const isRemoved = (name: string): boolean => Object.hasOwn(data, name) && data[name] === null
    const members = Object.entries({ ...openData(keyring, secret, current), ...data })
    const merged = Object.fromEntries(members.filter(([name]) => !isRemoved(name)))
    return writeVersion(parts, context, path, state, { data: merged, source: 'patch' })
  }
