/** A secret in this process: its value is at hand, and in no log by accident. */
import { concealed } from './concealed.ts'
import { type Fields, fields, list, text, time, whole } from '../json/fields.ts'
import { PurserError } from '../errors.ts'
import { isObject } from '../verify/canonical.ts'
import type { SecretOption, Secret } from '../types/secrets.ts'

/** As an answer has it, read and not yet compared with the log. */
export type SecretReply = { path: string; version: number; data: Fields; createdAt: Date }

const readSecret = (value: unknown, name: string): SecretReply => {
  const secret = fields(value, name)
  return {
    path: text(secret.path, `${name}/path`),
    version: whole(secret.version, `${name}/version`),
    data: fields(secret.data, `${name}/data`),
    createdAt: time(fields(secret.metadata, `${name}/metadata`).createdAt, `${name}/metadata/createdAt`),
  }
}

export const readSecrets = (value: unknown): SecretReply[] => list(value, 'secrets', readSecret)

export const secretOf = ({ path, version, data, createdAt }: SecretReply): Secret =>
  concealed('Secret', { shown: { path, version, createdAt }, hidden: { data }, json: { path, version } })

const bad = (why: string): PurserError => new PurserError('bad_options', why)

/** @throws PurserError `bad_options`; the text itself is not repeated: it may be a value that went astray */
export function checkPath(path: unknown): string {
  if (typeof path !== 'string' || path.length > 512 || !/^[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/.test(path))
    throw bad('the path of a secret is segments of a-z, 0-9, dot, hyphen and underscore between slashes')
  return path
}

export function checkVersion(version: unknown): number | undefined {
  if (version === undefined) return undefined
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    throw bad('the version of a secret is a whole number from 1 on')
  return version
}

const names = new Set(['path', 'version', 'optional'])

/** @throws PurserError `bad_options` */
export function checkSecretOptions(given: unknown): SecretOption[] {
  if (!Array.isArray(given)) throw bad('secrets is a list of paths, or of { path, version, optional }')
  if (given.length > maxAtOnce) throw bad(`${maxAtOnce} secrets are the most in one request: get() gives others`)
  return given.map((one: unknown) => {
    if (!isObject(one)) return checkPath(one)
    const { path, version, optional } = one
    if (Object.keys(one).some((name) => !names.has(name))) throw bad('a secret is { path, version, optional }')
    if (optional !== undefined && typeof optional !== 'boolean') throw bad('optional is true or false')
    const pinned = checkVersion(version)
    return {
      path: checkPath(path),
      ...(pinned !== undefined && { version: pinned }),
      ...(optional !== undefined && { optional }),
    }
  })
}

/** Of one request, as the server takes them. */
export const maxAtOnce = 64
/** Bytes of an answer with so many secrets, each of up to 192 KiB as text. */
export const bytesFor = (count: number): number => count * 256 * 1024

/**
 * Whether what came is what was asked for, in its order, and nothing else.
 * @returns words on what is wrong; nothing where all is well
 */
export function faultIn(secrets: readonly SecretReply[], wanted: readonly SecretOption[]): string | undefined {
  let at = 0
  for (const option of wanted) {
    const { path, version, optional = false } = typeof option === 'string' ? { path: option } : option
    const found = secrets[at]
    if (found?.path === path && (version === undefined || version === found.version)) at++
    else if (!optional) return 'a secret is missing, or of another version'
  }
  return at === secrets.length ? undefined : 'a secret came that was not asked for'
}
