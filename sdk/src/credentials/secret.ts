/** Secrets: their options, and their form in answers. */
import { concealed } from './concealed.ts'
import { type Fields, fields, list, text, time, whole } from '../json/fields.ts'
import { PurserError } from '../errors.ts'
import { isObject } from '../verify/canonical.ts'
import type { SecretOption, Secret } from '../types/secrets.ts'

/** A secret as the answer holds it, not yet compared with the log. */
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

/** @throws PurserError `bad_options`, without the text, which may be a secret value by mistake */
export function checkPath(path: unknown): string {
  if (typeof path !== 'string' || path.length > 512 || !/^[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/.test(path))
    throw bad('the path of a secret consists of segments of a-z, 0-9, dot, hyphen and underscore, separated by slashes')
  return path
}

export function checkVersion(version: unknown): number | undefined {
  if (version === undefined) return undefined
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    throw bad('the version of a secret is an integer of at least 1')
  return version
}

const names = new Set(['path', 'version', 'optional'])

/** @throws PurserError `bad_options` */
export function checkSecretOptions(options: unknown): SecretOption[] {
  if (!Array.isArray(options)) throw bad('secrets is a list of paths, or of { path, version, optional }')
  if (options.length > maxAtOnce) throw bad(`one request can include ${maxAtOnce} secrets; get() gets others`)
  return options.map((option: unknown) => {
    if (!isObject(option)) return checkPath(option)
    const { path, version, optional } = option
    if (Object.keys(option).some((name) => !names.has(name))) throw bad('a secret is { path, version, optional }')
    if (optional !== undefined && typeof optional !== 'boolean') throw bad('optional is true or false')
    const pinned = checkVersion(version)
    return {
      path: checkPath(path),
      ...(pinned !== undefined && { version: pinned }),
      ...(optional !== undefined && { optional }),
    }
  })
}

/** The server's limit for one request. */
export const maxAtOnce = 64
/** The maximum size of an answer with `count` secrets, each of up to 192 KiB as text. */
export const bytesFor = (count: number): number => count * 256 * 1024

/**
 * Whether the secrets are the requested ones, in their order.
 * @returns the fault in words; undefined without a fault
 */
export function secretsFault(secrets: readonly SecretReply[], options: readonly SecretOption[]): string | undefined {
  let next = 0
  for (const option of options) {
    const { path, version, optional = false } = typeof option === 'string' ? { path: option } : option
    const secret = secrets[next]
    if (secret?.path === path && (version === undefined || version === secret.version)) next++
    else if (!optional) return 'a secret is missing or has another version'
  }
  return next === secrets.length ? undefined : 'a secret was not requested'
}
